"""What is said of unknown cells."""

import numpy as np
import pytest

from kan_api.ground import KnownGround
from kan_api.ground_text import show_cell, show_range, show_value
from kan_api.v1 import manifest_pb2 as pb
from kan_api.v1.prediction_pb2 import UnknownCell


@pytest.fixture
def known() -> KnownGround:
    """Ages, sizes that are all 7, words, and days from 2024-03-01 on."""
    features = [pb.Feature(name="age", column="age", low=19, high=79.1)]
    features += [pb.Feature(name="size", column="size", low=7, high=7, constant=True)]
    features += [pb.Feature(name="city=x", column="city", category="x", low=0, high=1)]
    features += [pb.Feature(name=part, column="day", category=part, low=1, high=5) for part in ("days", "month", "wd")]
    for feature in features:
        if feature.low < feature.high:
            feature.histogram.CopyFrom(pb.Histogram(edges=[feature.low, feature.high], counts=[9]))
    columns = [pb.Column(name="age"), pb.Column(name="size"), pb.Column(name="city", categories=["x"])]
    columns.append(pb.Column(name="day", date=pb.DateEncoding(format="iso", first_day="2024-03-01")))
    found = KnownGround.of(pb.ModelManifest(features=features, columns=columns))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        (0, np.float32(0.1), "0.1"),
        (0, 500.0, "500"),
        (0, 1234567.0, "1234567"),
        (3, 4.5, "2024-03-05"),
        (3, -1.0, "2024-02-29"),
        (3, 1e30, "day 1e+30"),
    ],
)
def test_a_value_is_shown_as_in_the_table(known: KnownGround, column: int, value: float, text: str) -> None:
    """Numbers as float32 has them, days as dates, as far as there is a calendar."""
    assert show_value(known, column, float(value)) == text


def test_a_range_has_the_values_of_the_table(known: KnownGround) -> None:
    """A number, a constant, dates."""
    assert [show_range(known, column) for column in (0, 1, 3)] == ["19 to 79.1", "only 7", "2024-03-02 to 2024-03-06"]


def test_a_cell_is_told_with_its_reason(known: KnownGround) -> None:
    """Outside, in a gap, and words with and without the word."""
    outside, gap, word = (
        UnknownCell.REASON_OUTSIDE_RANGE,
        UnknownCell.REASON_EMPTY_CELL,
        UnknownCell.REASON_UNSEEN_WORD,
    )
    assert show_cell(known, 0, outside, 500) == 'column "age" is 500, training had 19 to 79.1'
    assert show_cell(known, 0, gap, 45) == 'column "age" is 45, in a gap of the training rows (19 to 79.1)'
    assert show_cell(known, 2, word, np.nan) == 'column "city" holds a word that training never had'
    assert show_cell(known, 2, word, np.nan, "Bern") == 'column "city" holds "Bern", a word that training never had'
