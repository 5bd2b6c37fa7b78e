"""Histograms for the manifest: 20 even bins, and finer ones where most rows are.

Example: of the numbers of rooms of 20,000 districts, 99.9 % are below 62 and the largest is 1,243. Of 20 even bins the
first would hold them all, and a shift of all rows by one standard deviation would stay inside it. So a bin that holds
more than a tenth of the rows is cut at the deciles that lie inside it.
"""

import numpy as np

from kan_api.v1 import manifest_pb2 as pb
from training.data.encoding import Numbers

_EVEN_BINS = 20
# A bin with a larger share of the rows is cut.
_LARGEST_SHARE = 0.1
# A manifest has a bounded size, so the histograms of wider tables keep their even bins.
_MOST_CUT_FEATURES = 1000


def histogram(values: Numbers, features: int = 1) -> pb.Histogram:
    """The histogram of ``[1 or more rows]``: finite values that are not all the same huge number.

    Args:
        values: ``[rows]``.
        features: Number of histograms of the manifest; beyond 1,000 all bins are even.
    """
    counts, edges = np.histogram(values, bins=min(_EVEN_BINS, len(np.unique(values))))
    if features <= _MOST_CUT_FEATURES:
        edges = _cut_crowded(values, counts, edges)
        counts, _ = np.histogram(values, bins=edges)
    return pb.Histogram(edges=edges, counts=counts)


def histogram_of_answers(values: Numbers, *, is_probability: bool) -> pb.Histogram:
    """The histogram of the answers ``[rows]`` of one output; empty if they are all alike or none is finite.

    Probabilities keep even bins: the deciles of a confident classifier lie within 1e-6 of 0 and 1, and such differences
    say nothing about the rows.
    """
    values = values[np.isfinite(values)]
    if len(values) == 0 or np.ptp(values) <= 1e-9 * np.abs(values).max():
        return pb.Histogram()
    if not is_probability:
        return histogram(values)
    counts, edges = np.histogram(values, bins=_EVEN_BINS, range=(0, max(1.0, values.max())))
    return pb.Histogram(edges=edges, counts=counts)


def _cut_crowded(values: Numbers, counts: np.ndarray, edges: Numbers) -> Numbers:
    """The edges, and the deciles inside crowded bins. A decile is a value of a row, so no new bin is empty."""
    ordered = np.sort(values)
    deciles = np.unique(ordered[(np.arange(1, 10) * len(ordered)) // 10])
    starts = np.searchsorted(ordered, edges[:-1])
    bins = np.clip(np.searchsorted(edges, deciles, side="right") - 1, 0, len(counts) - 1)
    crowded = counts[bins] > _LARGEST_SHARE * len(ordered)
    # Equal to the first value of its bin, a decile would leave the part below it empty.
    inside = deciles > ordered[np.minimum(starts[bins], len(ordered) - 1)]
    return np.unique(np.concatenate([edges, deciles[crowded & inside & (deciles < edges[-1])]]))
