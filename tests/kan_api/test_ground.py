"""Known ground is what a slow reading of the manifest, value by value, says."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kan_api import ground
from kan_api.ground import KnownGround, look
from kan_api.v1 import manifest_pb2 as pb
from kan_api.v1.prediction_pb2 import Ground, UnknownCell

Rows = NDArray[np.float32]


def number(name: str, values: object, bins: int = 20, **other: object) -> pb.Feature:
    """A feature of these training values, as training describes it."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    feature = pb.Feature(name=name, column=name, low=known.min(), high=known.max(), **other)  # type: ignore[arg-type]
    if known.min() < known.max():
        counts, edges = np.histogram(known, bins=min(bins, len(np.unique(known))))
        feature.histogram.CopyFrom(pb.Histogram(edges=edges, counts=counts))
    else:
        feature.constant = True
    return feature


def known_ground(*features: pb.Feature, columns: tuple[pb.Column, ...] = ()) -> KnownGround:
    """Of a manifest with these features."""
    table = columns or tuple(pb.Column(name=feature.column) for feature in features)
    found = KnownGround.of(pb.ModelManifest(features=features, columns=table))
    assert found is not None
    return found


def word_ground(*features: pb.Feature, column: pb.Column) -> KnownGround:
    """Of a table with one column."""
    for feature in features:
        feature.column = column.name
    return known_ground(*features, columns=(column,))


def rows(*values: float | np.float32 | tuple[float, ...]) -> Rows:
    """Rows of a client."""
    return np.array(values, np.float32).reshape(len(values), -1)


def is_known(feature: pb.Feature, value: np.float32) -> bool:
    """The rule for one value of one feature, in plain Python."""
    if math.isnan(value):
        return True
    if not np.float32(feature.low) <= value <= np.float32(feature.high):
        return False
    edges, counts = list(feature.histogram.edges), list(feature.histogram.counts)
    if not counts:
        return True
    if not np.float32(edges[0]) <= value <= np.float32(edges[-1]):
        return False
    cell = max([place for place, edge in enumerate(edges[:-1]) if edge <= float(value)], default=0)
    return counts[cell] > 0


MODERATE = st.floats(-1e6, 1e6) | st.integers(-5, 5).map(float) | st.sampled_from([0.1, -0.1, 1e-40, 0.0])


@given(
    st.lists(st.lists(MODERATE, min_size=1, max_size=12), min_size=1, max_size=4),
    st.integers(1, 20),
    st.lists(MODERATE | st.just(math.nan), min_size=1, max_size=6),
    st.data(),
)
def test_numbers_are_known_as_the_slow_rule_says(
    training: list[list[float]], bins: int, tried: list[float], data: st.DataObject
) -> None:
    """Free values, training values, edges of cells and their neighbours in float32; few rows, many rows, one by one."""
    features = [number(str(place), values, bins) for place, values in enumerate(training)]
    known = known_ground(*features)
    places: list[float] = tried + [value for values in training for value in values]
    for edge in [edge for feature in features for edge in feature.histogram.edges]:
        near = np.float32(edge)
        places += [float(each) for each in (near, np.nextafter(near, np.float32(9)), np.nextafter(near, -near - 1))]
    table = np.tile(np.array(places, np.float32)[:, None], (1, len(features)))
    table[:, data.draw(st.integers(0, len(features) - 1))] = math.nan
    wanted = [[not is_known(feature, value) for feature, value in zip(features, row, strict=True)] for row in table]
    flags = known.unknown(table)
    np.testing.assert_array_equal(flags, wanted)
    many = np.tile(table, (1 + 2**17 // table.size, 1))
    np.testing.assert_array_equal(known.unknown(many), np.tile(flags, (len(many) // len(table), 1)))
    np.testing.assert_array_equal(known.unknown(table[:1]), flags[:1])


@given(st.lists(MODERATE, min_size=1, max_size=50))
def test_training_rows_are_known(values: list[float]) -> None:
    """Whatever they are, as the float32 numbers that training makes of cells."""
    table = rows(*values)
    assert not known_ground(number("a", table.astype(np.float64))).unknown(table).any()


def test_a_range_that_float32_rounds_holds_its_ends() -> None:
    """0.1 and 0.3 of a table that was not rounded, which float32 rounds up; their neighbours beyond are outside."""
    known = known_ground(number("a", [0.1, 0.2, 0.3]))
    low, high = np.float32(0.1), np.float32(0.3)
    beyond = [np.nextafter(low, np.float32(0)), np.nextafter(high, np.float32(1))]
    assert known.unknown(rows(low, high, *beyond)).ravel().tolist() == [False, False, True, True]


def test_a_message_says_row_column_reason_and_value() -> None:
    """Outside the range, and in a cell without training rows; the counts are those of all cells."""
    known = known_ground(number("age", [19, 20, 79], bins=4), number("rooms", [1, 2, 3, 4]))
    told = known.look(rows((19, 4), (500, 9), (50, 2)))
    assert told == Ground(
        is_known=True,
        unknown_rows=2,
        unknown_cells=3,
        cells=[
            UnknownCell(row=1, column="age", reason=UnknownCell.REASON_OUTSIDE_RANGE, value=500),
            UnknownCell(row=1, column="rooms", reason=UnknownCell.REASON_OUTSIDE_RANGE, value=9),
            UnknownCell(row=2, column="age", reason=UnknownCell.REASON_EMPTY_CELL, value=50),
        ],
    )
    assert known.look(rows((19, 4))) == Ground(is_known=True)


def test_a_constant_knows_its_own_value_alone() -> None:
    """Also where it is the only feature, so that the version has no histogram."""
    assert known_ground(number("a", [7.0, 7.0])).unknown(rows(7, 6.9, 0)).ravel().tolist() == [False, True, True]


def test_a_histogram_with_one_cell_knows_its_range() -> None:
    """No gap, and both ends belong to it."""
    known = known_ground(number("a", [1, 2, 3], bins=1))
    assert known.unknown(rows(1, 2.5, 3, 3.5, 0.5)).ravel().tolist() == [False, False, False, True, True]


def test_a_version_without_histograms_knows_nothing() -> None:
    """As one that was imported without a table: the ranges of its grids are no ranges of training rows."""
    manifest = pb.ModelManifest(features=[pb.Feature(name="a", column="a", low=-1, high=1)])
    assert KnownGround.of(manifest) is None
    assert look(None, rows(5)) == Ground(is_known=False)
    assert look(known_ground(number("a", [1, 2])), rows(5)).unknown_rows == 1


def test_words_are_unseen_where_training_always_had_one() -> None:
    """A row without any of the words; a missing word is known."""
    known = word_ground(
        number("red", [1, 0, 0]),
        number("blue", [0, 1, 1]),
        column=pb.Column(name="color", categories=["red", "blue"]),
    )
    flags = known.unknown(rows((1, 0), (0, 1), (0, 0), (math.nan, math.nan)))
    assert flags.ravel().tolist() == [False, False, True, False]
    (cell,) = known.look(rows((0, 0))).cells
    assert (cell.column, cell.reason) == ("color", UnknownCell.REASON_UNSEEN_WORD)
    assert math.isnan(cell.value)


def test_words_are_known_as_other_where_training_had_other_words() -> None:
    """With `unseen = "other"` training masks some words, so it has rows of zeros."""
    column = pb.Column(name="color", categories=["red", "blue"], unseen_is_other=True)
    known = word_ground(number("red", [1, 0, 0, 0]), number("blue", [0, 1, 1, 0]), column=column)
    assert not known.unknown(rows((1, 0), (0, 1), (0, 0))).any()


def test_a_listed_word_that_training_never_had_is_unseen() -> None:
    """Its feature is constant; so is the feature of a word that all training rows have."""
    column = pb.Column(name="color", categories=["red", "blue"])
    known = word_ground(number("red", [1, 1]), number("blue", [0, 0]), column=column)
    assert known.unknown(rows((1, 0), (0, 1), (0, 0))).ravel().tolist() == [False, True, True]
    assert known.look(rows((0, 1))).cells[0].reason == UnknownCell.REASON_UNSEEN_WORD


def test_numbers_of_listed_words_are_known() -> None:
    """Training rows get numbers out of fold, so that the number of their word may lie in a gap between them."""
    column = pb.Column(
        name="city", statistics=pb.TargetStatistics(words=["a", "b"], values=[1.5, 5.0], prior=[3.0])
    )  # fmt: skip
    known = word_ground(number("city by target", [1.0, 1.1, 2.0, 4.9, 5.1]), column=column)
    assert known.unknown(rows(1.5, 5.0, 3.0, 9.0)).ravel().tolist() == [False, False, True, True]
    assert {cell.reason for cell in known.look(rows(3.0, 9.0)).cells} == {UnknownCell.REASON_UNSEEN_WORD}


def test_numbers_of_several_classes_are_known_class_by_class() -> None:
    """The numbers of a word stand side by side in the manifest."""
    statistics = pb.TargetStatistics(words=["a", "b"], values=[0.1, 0.7, 0.4, 0.2], prior=[0.25, 0.45])
    known = word_ground(
        number("city by target: x", [0.0, 0.5], bins=9),
        number("city by target: y", [0.0, 0.9], bins=9),
        column=pb.Column(name="city", statistics=statistics),
    )
    ground_of_words = known.unknown(rows((0.1, 0.7), (0.4, 0.2), (0.25, 0.45), (0.7, 0.1)))
    assert ground_of_words.ravel().tolist() == [False, False, False, True]


def test_dates_are_outside_by_their_days_and_else_in_a_gap() -> None:
    """A month that training never saw, between two that it saw, is a gap."""
    known = word_ground(
        number("day: days", [0, 31, 300, 400]),
        number("day: month", [1, 2, 11, 1]),
        number("day: weekday", [1, 2, 3, 4, 5, 6, 7]),
        column=pb.Column(name="day", date=pb.DateEncoding(format="iso", first_day="2024-01-01")),
    )
    told = known.look(rows((0, 1, 1), (500, 5, 1), (31, 6, 2)))
    assert [(cell.row, cell.reason, cell.value) for cell in told.cells] == [
        (1, UnknownCell.REASON_OUTSIDE_RANGE, 500),
        (2, UnknownCell.REASON_EMPTY_CELL, 31),
    ]


def test_columns_stand_beside_one_another() -> None:
    """One flag a column, whatever the number of its features."""
    color = pb.Column(name="color", categories=["red", "blue"])
    features = [number("age", [19, 79]), number("red", [1, 0]), number("blue", [0, 1]), number("size", [1, 2])]
    for feature in features[1:3]:
        feature.column = "color"
    known = known_ground(*features, columns=(pb.Column(name="age"), color, pb.Column(name="size")))
    assert known.columns == ("age", "color", "size")
    flags = known.unknown(rows((19, 0, 1, 2), (500, 0, 0, 1), (79, 1, 0, 3)))
    assert flags.tolist() == [[False, False, False], [True, True, False], [False, False, True]]


def test_a_histogram_of_many_gaps_is_read_whole() -> None:
    """As of a version that was continued often."""
    feature = pb.Feature(name="a", column="a", low=0, high=200)
    feature.histogram.CopyFrom(pb.Histogram(edges=range(201), counts=[1, 0] * 100))
    known = known_ground(feature, number("b", [1, 2]))
    tried = np.arange(0, 200, 0.5).astype(np.float32)
    flags = known.unknown(np.stack([tried, np.full_like(tried, 1)], axis=1))
    assert flags[:, 0].tolist() == [int(value) % 2 == 1 for value in tried]
    assert not flags[:, 1].any()
    assert known.unknown(rows((math.nan, 1), (-1, 1), (200.5, 1)))[:, 0].tolist() == [False, True, True]


@pytest.mark.parametrize(
    "histogram",
    [
        pb.Histogram(edges=[1, 2], counts=[1, 2, 3]),
        pb.Histogram(edges=[2, 1], counts=[1]),
        pb.Histogram(edges=[math.nan, 1], counts=[0]),
        pb.Histogram(edges=[], counts=[]),
    ],
)
def test_a_broken_histogram_is_passed_over(histogram: pb.Histogram) -> None:
    """The range is left; nothing fails."""
    feature = pb.Feature(name="a", column="a", low=1, high=2, histogram=histogram)
    assert known_ground(feature).unknown(rows(1.5, 3)).ravel().tolist() == [False, True]


def test_a_message_is_bounded() -> None:
    """At most 1,000 cells, fewer of columns with long names; the counts tell all."""
    many = rows(*[9.0] * 3000)
    told = known_ground(number("a", [1, 2])).look(many)
    assert (told.unknown_rows, told.unknown_cells, len(told.cells)) == (3000, 3000, ground.MOST_CELLS)
    told = known_ground(number("a" * 4096, [1, 2])).look(many)
    assert told.unknown_cells == 3000
    assert told.ByteSize() < 2**19


def test_columns_that_do_not_match_are_features() -> None:
    """A manifest whose columns are not those of its features has one column a feature."""
    features = [number("a", [1, 2]), number("b", [1, 2])]
    assert known_ground(*features, columns=(pb.Column(name="x"),)).columns == ("a", "b")


def test_a_manifest_without_its_histograms_tells_nothing() -> None:
    """GetModel leaves them out where they are too large: a constant that is left says nothing about the others."""
    features = [number("a", [1, 2]), number("b", [7, 7])]
    features[0].ClearField("histogram")
    assert KnownGround.of(pb.ModelManifest(features=features)) is None
    assert KnownGround.of(pb.ModelManifest()) is None
