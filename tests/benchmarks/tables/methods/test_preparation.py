"""What peers are given: every kind of column, with gaps and with words that training never saw."""

import numpy as np
import pandas as pd

from benchmarks.tables.methods.preparation import as_frame, as_numbers, find_columns

TRAIN = pd.DataFrame(
    {
        "number": [1.0, np.nan, 3.0],
        "day": ["1970-01-02", "1970-01-03T12:00:00", None],
        "word": ["b", "b", "a"],
        "empty": [np.nan, np.nan, np.nan],
    }
)
TEST = pd.DataFrame({"number": [5.0], "day": [""], "word": ["new"], "empty": [7.0]})


def test_columns_are_numbers_dates_or_words() -> None:
    """Words stand in the order of their frequency; a column without a value is left out."""
    columns = find_columns(TRAIN)
    assert (columns.numbers, columns.dates, columns.words) == (("number",), ("day",), {"word": ("b", "a")})


def test_numbers_of_the_training_rows() -> None:
    """Dates are days since 1970, words their places, gaps NaN."""
    rows, words = as_numbers(find_columns(TRAIN), TRAIN)
    np.testing.assert_equal(rows, [[1, 1, 0], [np.nan, 2.5, 0], [3, np.nan, 1]])
    assert words == [2]


def test_new_and_rare_words_are_gaps() -> None:
    """Where only so many words of a column are told apart, the rarest are not."""
    columns = find_columns(TRAIN)
    np.testing.assert_equal(as_numbers(columns, TEST)[0], [[5, np.nan, np.nan]])
    np.testing.assert_equal(as_numbers(columns, TRAIN, most_words=1)[0][:, 2], [0, 0, np.nan])


def test_frame_keeps_words() -> None:
    """As text, also those that training never saw; a gap stays one."""
    columns = find_columns(TRAIN)
    assert as_frame(columns, TEST)["word"].tolist() == ["new"]
    assert as_frame(columns, TRAIN.assign(word=pd.Series(["b", None, "a"])))["word"].isna().tolist() == [
        False,
        True,
        False,
    ]
