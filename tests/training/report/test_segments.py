"""Errors by segment against pandas."""

import numpy as np
import pandas as pd
import pytest

from training.report.effects.shown_columns import ShownColumn
from training.report.judged import Judged
from training.report.segments import segment

WORDS = ("red", "", "blue")


def judged(*, weighted: bool = False) -> Judged:
    """A column of numbers with gaps, and a column of words as 0/1 features with a word that is none of them."""
    random = np.random.default_rng(0)
    number = random.normal(size=300)
    number[:20] = np.nan
    word = random.choice(4, 300, p=[0.5, 0.1, 0.3, 0.1])
    truth = random.uniform(1, 2, (300, 1))
    return Judged(
        "test rows",
        truth,
        truth + random.normal(0.2, 0.1, (300, 1)),
        np.full((300, 1), 1.5),
        np.column_stack([number, np.eye(4)[word][:, :3]]),
        random.uniform(1, 3, 300) if weighted else None,
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("is_log", [False, True])
def test_words(weighted: bool, is_log: bool) -> None:
    """A segment for each word, the most frequent first, and one for all other words; each error is pandas' mean."""
    given = judged(weighted=weighted)
    assert given.rows is not None
    assert given.trivial is not None
    found = segment(given, ShownColumn("word", (1, 2, 3), words=WORDS, values=np.eye(3)), is_log=is_log)
    assert [one.name for one in found] == ["red", "blue", "empty", "other words"]
    words = [given.rows[:, place] == 1 for place in (1, 2, 3)]
    names = np.select(words, ["red", "empty", "blue"], default="other words")
    unit = given.truth[:, 0] if is_log else 1
    weights = np.ones(300) if given.weights is None else given.weights
    off, away = ((each[:, 0] - given.truth[:, 0]) / unit for each in (given.answers, given.trivial))
    for one in found:
        table = pd.DataFrame({"off": off, "away": away, "w": weights})[names == one.name]
        assert one.rows == len(table)
        assert one.error == pytest.approx((table.off.abs() * table.w).sum() / table.w.sum())
        assert one.bias == pytest.approx((table.off * table.w).sum() / table.w.sum())
        assert one.trivial == pytest.approx((table.away.abs() * table.w).sum() / table.w.sum())


def test_numbers() -> None:
    """Five segments of about equally many rows and one of the gaps; together all rows, each once."""
    given = judged()
    found = segment(given, ShownColumn("number", (0,)))
    assert (found[-1].name, found[-1].rows) == ("missing", 20)
    assert len(found) == 6
    assert all(abs(one.rows - 56) <= 1 for one in found[:-1])
    total = sum(one.rows * one.error for one in found)
    assert total / 300 == pytest.approx(np.abs(given.answers - given.truth).mean())


@pytest.mark.parametrize(("values", "names"), [([3.0] * 40, ["3"]), ([0.0] * 39 + [1.0], ["0", "1"])])
def test_few_values(values: list[float], names: list[str]) -> None:
    """A constant is one segment; a value that nearly all rows have does not hide the others."""
    truth = np.zeros((40, 1))
    given = Judged("test rows", truth, truth + 1, rows=np.array(values)[:, None])
    found = segment(given, ShownColumn("x", (0,)))
    assert sum(one.rows for one in found) == 40
    assert all(one.trivial is None for one in found)
    assert len(found) <= len(names)
