"""The columns of the float matrix in the manifest: their range, gaps and histogram in the training rows."""

from collections.abc import Mapping

import numpy as np

from kan_api.v1 import manifest_pb2 as pb
from training.data.dataset import Dataset
from training.data.preparation import feature_ranges
from training.publishing.message.histogram import histogram


def feature_messages(dataset: Dataset, directions: Mapping[str, str]) -> list[pb.Feature]:
    """The columns of the float matrix for a manifest.

    Args:
        dataset: The training rows, and how they become the matrix.
        directions: By column, "up" or "down" where no answer falls or rises with it.
    """
    ranges = zip(*feature_ranges(dataset), strict=True)
    found = [_feature(dataset, place, low, high) for place, (low, high) in enumerate(ranges)]
    for feature in found:
        feature.monotone = directions.get(feature.column, "")
    return found


def _feature(dataset: Dataset, place: int, low: float, high: float) -> pb.Feature:
    feature = dataset.features[place]
    values = dataset.x[dataset.train, place]
    values = values[~np.isnan(values)]
    message = pb.Feature(
        name=feature.name,
        column=feature.column,
        category=feature.category or "",
        low=low,
        high=high,
        constant=dataset.constant[place],
    )
    message.has_gap_input = place in dataset.gaps
    imputed = dataset.imputed[place]
    if imputed is not None:
        message.imputed = imputed
    # A constant gets no histogram: it says nothing, and numpy cannot make bins around a huge number.
    if len(values) and not dataset.constant[place]:
        message.histogram.CopyFrom(histogram(values, len(dataset.features)))
    return message
