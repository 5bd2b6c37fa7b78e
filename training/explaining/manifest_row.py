"""The reference row of a published version whose table is not available, from the histograms in its manifest."""

import datetime

import numpy as np

from kan_api.dates import date_numbers
from kan_api.v1 import manifest_pb2 as pb
from training.explaining.reference_row import ReferenceRow


def reference_of_manifest(manifest: pb.ModelManifest) -> ReferenceRow:
    """The version's own reference row if it has one, else medians and most frequent words by the histograms.

    Without a histogram it is the middle of the range. The numbers of a column by target are their medians, since the
    manifest does not tell how frequent its words are.
    """
    names = tuple(column.name for column in manifest.columns) or tuple(feature.name for feature in manifest.features)
    places = {name: place for place, name in enumerate(names)}
    column_of = tuple(places[feature.column or feature.name] for feature in manifest.features)
    if manifest.HasField("attribution_graph"):
        own = manifest.attribution_graph
        return ReferenceRow(np.array(own.reference, dtype=np.float32), names, column_of, own.from_histograms)
    values = np.array([_median(feature) for feature in manifest.features])
    for place, column in enumerate(manifest.columns):
        own_features = np.flatnonzero(np.equal(column_of, place))
        if column.categories:
            shares = [_share_of_ones(manifest.features[feature]) for feature in own_features]
            values[own_features] = np.eye(len(own_features))[int(np.argmax(shares))]
        elif column.HasField("date"):
            values[own_features] = _date(float(values[own_features[0]]), column.date.first_day)
    return ReferenceRow(values.astype(np.float32), names, column_of, from_histograms=True)


def _median(feature: pb.Feature) -> float:
    """Where half of the training rows are reached, if the rows of a cell are spread evenly.

    The value of missing cells is the median itself.
    """
    if feature.HasField("imputed"):
        return feature.imputed
    counts, edges = np.array(feature.histogram.counts), np.array(feature.histogram.edges)
    if not counts.any():
        return (feature.low + feature.high) / 2
    reached = np.concatenate([[0], np.cumsum(counts)])
    return float(np.interp(reached[-1] / 2, reached, edges))


def _share_of_ones(feature: pb.Feature) -> float:
    """How many rows hold the word of a 0/1 feature, as a share of the rows without missing cells."""
    counts = feature.histogram.counts
    return counts[-1] / sum(counts) if sum(counts) else feature.low


def _date(days: float, first_day: str) -> tuple[float, float, float]:
    """Days, month and weekday of one date: the day of the median."""
    first = datetime.date.fromisoformat(first_day)
    moment = datetime.datetime.combine(first, datetime.time()) + datetime.timedelta(days=int(days))
    return date_numbers(moment, first)
