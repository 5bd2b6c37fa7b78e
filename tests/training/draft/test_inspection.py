"""The facts of each column."""

from pathlib import Path

import pandas as pd
import pytest

from training.draft.inspection import inspect
from training.errors import DataError


def test_each_column_is_told_by_what_it_holds(tmp_path: Path) -> None:
    """Kind, gaps, range, order, words: counted on a table small enough to check by eye."""
    days = pd.date_range("2020-01-01", periods=30)
    pd.DataFrame(
        {
            "counter": range(30),
            "real": [0.5, None, *range(28)],
            "town": (["Ulm", "Bonn", None] * 10),
            "free": [f"text {row}" for row in range(30)],
            "day": days.strftime("%d.%m.%Y"),
            "nothing": [None] * 30,
            "same": 7,
            "dirty": [str(row) for row in range(29)] + ["oops"],
            "huge": ["1e300"] + ["1"] * 29,
            "truth": [True, False] * 15,
            "y": 1,
        }
    ).to_csv(tmp_path / "t.csv", index=False)
    found = inspect(tmp_path / "t.csv", "y")
    kinds = {facts.name: facts.kind for facts in found.columns}
    assert kinds == {
        "counter": "numbers",
        "real": "numbers",
        "town": "words",
        "free": "text",
        "day": "dates",
        "nothing": "empty",
        "same": "numbers",
        "dirty": "text",
        "huge": "numbers",
        "truth": "words",
        "y": "numbers",
    }
    counter, real, town = found.facts("counter"), found.facts("real"), found.facts("town")
    assert (counter.is_whole, counter.is_ordered, counter.distinct, counter.low, counter.high) == (
        True,
        True,
        30,
        0,
        29,
    )
    assert (real.is_whole, real.is_ordered, real.missing) == (False, False, 1)
    assert (town.words, town.missing, town.distinct) == (("Bonn", "Ulm"), 10, 2)
    assert found.facts("day").is_ordered
    assert 'row 30 (line 31) holds "oops"' in found.facts("dirty").flaw
    assert "finite number of float32" in found.facts("huge").flaw
    assert found.facts("truth").words == ("False", "True")


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    """The message carries the nearest name."""
    (tmp_path / "t.csv").write_text("price,area\n1,2\n")
    with pytest.raises(DataError, match='the nearest are "price"'):
        inspect(tmp_path / "t.csv", "pirce")
