"""What of a version is counted: the 32 columns that matter most, the other columns together, and its answers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from kan_api.v1.manifest_pb2 import Column, Feature, Histogram, ModelManifest
from service.metrics.drift.cells import OTHER, Counted, Numbers, distinct, number_cells, pooled_cells, word_cells

_MOST_COLUMNS = 32
_MOST_OUTPUTS = 32
# With fewer training rows the index of rows that did not shift exceeds 0.25 by chance: 1.4 with 10 rows, 0.4 with 50.
_LEAST_TRAINING_ROWS = 200


def may_be_counted(manifest: ModelManifest) -> bool:
    """Whether a version may have something to count. Histograms are checked later, when cells are made of them."""
    return bool(manifest.answers) or any(
        feature.constant or feature.HasField("histogram") for feature in manifest.features
    )


def counted_columns(manifest: ModelManifest) -> tuple[Counted, ...]:
    """The cells of the columns of a version.

    Columns with the largest attribution come first; without attributions the first columns. All others are one pool
    with the name "other". A column whose training rows are not known is not counted: that of a network that was
    imported without a table. Of words that become several numbers, their statistics, the number with the largest
    attribution is counted, and of a date its days. Dates get no index: the time goes on, so they always differ from
    training. Columns with fewer than 200 training rows get none either: it would be high by chance.
    """
    rows = _training_rows(manifest)
    known = [column for column in _columns(manifest) if all(_is_known(feature) for _, feature in column[1])]
    if not known or rows < 1:
        return ()
    by_weight = sorted(known, key=lambda column: -_attribution(*column))
    chosen, others = by_weight[:_MOST_COLUMNS], by_weight[_MOST_COLUMNS:]
    found = [_cells_of(column, features, rows) for column, features in chosen]
    if others:
        ranges = np.full((2, len(manifest.features)), np.nan)
        for place, feature in (each for _, features in others for each in features):
            ranges[:, place] = feature.low, feature.high
        with np.errstate(over="ignore"):
            found.append(pooled_cells(OTHER, *ranges.astype(np.float32)))
    return _named(found)


def _attribution(column: Column, features: "_Features") -> float:
    """How much the answers depend on a column; older versions tell it of its features alone."""
    return column.attribution if column.HasField("attribution") else sum(each.attribution for _, each in features)


def counted_answers(manifest: ModelManifest) -> tuple[Counted, ...]:
    """The cells of the answers of a version: of the first 32 outputs whose answers in training were not all alike."""
    names = manifest.classes or manifest.targets
    found: list[Counted] = []
    for place, histogram in enumerate(manifest.answers[: manifest.outputs[0].shape[1]]):
        if len(found) < _MOST_OUTPUTS and _is_whole(histogram):
            name = names[place] if place < len(names) else manifest.target or f"output {place + 1}"
            # An answer that is NaN is counted as missing.
            numbers = _numbers_of(place, histogram, sum(histogram.counts), has_gaps=True)
            found.append(number_cells(name, numbers, is_expected=_tells(numbers)))
    return _named(found)


# A column, and its features with their places in the matrix.
_Features = Sequence[tuple[int, Feature]]


def _columns(manifest: ModelManifest) -> Iterator[tuple[Column, _Features]]:
    """The columns of the table with their features."""
    by_name: dict[str, list[tuple[int, Feature]]] = {}
    for place, feature in enumerate(manifest.features):
        by_name.setdefault(feature.column or feature.name, []).append((place, feature))
    described = {column.name: column for column in manifest.columns}
    for name, features in by_name.items():
        yield described.get(name, Column(name=name)), features


def _cells_of(column: Column, features: _Features, rows: int) -> Counted:
    if column.categories:
        words = [feature.category for _, feature in features]
        found = word_cells(column.name, features[0][0], words, [_ones(feature, rows) for _, feature in features], rows)
        return found if rows >= _LEAST_TRAINING_ROWS else replace(found, expected=None)
    is_date = column.HasField("date")
    place, feature = features[0] if is_date else max(features, key=lambda each: each[1].attribution)
    histogram = feature.histogram if feature.HasField("histogram") else _of_constant(feature, rows)
    numbers = _numbers_of(place, histogram, rows, has_gaps=feature.HasField("imputed"))
    return number_cells(column.name, numbers, is_expected=not is_date and _tells(numbers))


def _tells(numbers: Numbers) -> bool:
    """Whether there are training rows enough for expected shares."""
    return sum(numbers.counts) >= _LEAST_TRAINING_ROWS


def _numbers_of(place: int, histogram: Histogram, rows: int, *, has_gaps: bool) -> Numbers:
    return Numbers(place, list(histogram.edges), list(histogram.counts), rows, has_gaps)


def _of_constant(feature: Feature, rows: int) -> Histogram:
    return Histogram(edges=[feature.low, feature.high], counts=[rows])


def _ones(feature: Feature, rows: int) -> int:
    """Training rows in which a feature that is 0 or 1 was 1."""
    if feature.constant:
        return rows if feature.low > 0.5 else 0
    starts = pairwise(feature.histogram.edges)
    return sum(count for (low, _), count in zip(starts, feature.histogram.counts, strict=True) if low >= 0.5)


def _training_rows(manifest: ModelManifest) -> int:
    """The rows that the histograms count, gaps included.

    Of a version that was trained further they are more than train_rows. Then its fullest histogram tells: as a rule one
    column has no gaps.
    """
    counted = (sum(feature.histogram.counts) for feature in manifest.features)
    return max(manifest.data.train_rows, max(counted, default=0))


def _is_known(feature: Feature) -> bool:
    """Whether the training rows of a feature are known. Anybody may write a manifest, so histograms are checked."""
    if feature.HasField("histogram"):
        return _is_whole(feature.histogram)
    return feature.constant and feature.low == feature.high and math.isfinite(feature.low)


def _is_whole(histogram: Histogram) -> bool:
    edges, counts = histogram.edges, histogram.counts
    return (
        len(edges) == len(counts) + 1 > 1
        and all(map(math.isfinite, edges))
        and all(low <= high for low, high in pairwise(edges))
        and min(counts) >= 0
        and sum(counts) > 0
    )


def _named(found: Sequence[Counted]) -> tuple[Counted, ...]:
    names = distinct([each.name for each in found])
    return tuple(replace(each, name=name) for name, each in zip(names, found, strict=True))
