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
    assert 'row 30 (line 31) holds "oops" (1 cell is no number); to use it as numbers' in found.facts("dirty").flaw
    assert "finite number of float32" in found.facts("huge").flaw
    assert found.facts("truth").words == ("False", "True")


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    """The message carries the nearest name."""
    (tmp_path / "t.csv").write_text("price,area\n1,2\n")
    with pytest.raises(DataError, match='the nearest is "price"'):
        inspect(tmp_path / "t.csv", "pirce")


def test_marks_of_gaps_keep_a_column_of_numbers(tmp_path: Path) -> None:
    """Among numbers "-" is a gap, among words it is a word. A column of marks alone holds nothing."""
    marks = ["-", " -- ", ".", "n/a"]
    pd.DataFrame(
        {"x": [*marks, *map(str, range(30))], "sign": ["-", "+"] * 17, "none": ["None", "-"] * 17, "y": range(34)}
    ).to_csv(tmp_path / "t.csv", index=False)
    found = inspect(tmp_path / "t.csv", "y")
    x, sign, none = (found.facts(name) for name in ("x", "sign", "none"))
    assert (x.kind, x.missing, x.low, x.high, x.flaw) == ("numbers", 4, 0, 29, "")
    assert (sign.kind, sign.missing, sign.words) == ("words", 0, ("+", "-"))
    assert (none.kind, none.missing) == ("empty", 34)


def test_a_cell_that_is_no_number_is_told_with_its_remedy(tmp_path: Path) -> None:
    """How many there are, what to do, and the marks that count as empty."""
    rows = [*map(str, range(40)), "n.a.", "n.a."]
    pd.DataFrame({"x": rows, "y": range(42)}).to_csv(tmp_path / "t.csv", index=False)
    assert inspect(tmp_path / "t.csv", "y").facts("x").flaw == (
        'mostly numbers, but row 41 (line 42) holds "n.a." (2 cells are no numbers); to use it as numbers, empty or '
        "correct such cells and draft again with --force (#n/a, -, --, ., <na>, ?, n/a, na, nan, none, null count as "
        "empty)"
    )
