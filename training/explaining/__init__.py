"""attribution.onnx of a version: the graph, verified in float64, and the reference row that it compares rows with.

The reference row stands for a typical row: medians of the training rows, and the most frequent word of a column. For
example, of flats with 30, 50 and 100 square metres in Bonn, Bonn and Ulm it is 50 square metres in Bonn.

`input_scores` tells of the training rows as a whole how much the answers depend on each column.
"""

from training.explaining.graph import NAME, VerifiedAttribution, attribution_message, verified_attribution
from training.explaining.input_scores import group_by_column, score_inputs
from training.explaining.manifest_row import reference_of_manifest
from training.explaining.reference_row import ReferenceRow, median_of_columns, reference_of_table

__all__ = [
    "NAME",
    "ReferenceRow",
    "VerifiedAttribution",
    "attribution_message",
    "group_by_column",
    "median_of_columns",
    "reference_of_manifest",
    "reference_of_table",
    "score_inputs",
    "verified_attribution",
]
