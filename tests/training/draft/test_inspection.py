"""The facts of each column."""

from pathlib import Path

import pandas as pd
import pytest

from training.draft.draft import columns_in_doubt, columns_left_out, draft_recipe
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
        "correct such cells (#n/a, -, --, ., <na>, ?, n/a, na, nan, none, null count as empty)"
    )


def rooms_table(folder: Path, cells: list[str]) -> Path:
    """A table of these cells and of another input, with a target."""
    rows = range(len(cells))
    frame = pd.DataFrame({"rooms": cells, "area": [row * 7 % 101 + 0.5 for row in rows]})
    frame.assign(y=[row * 3 % 97 + 0.25 for row in rows]).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


@pytest.mark.parametrize("cell", ["many", "3 rooms"])
def test_few_numbers_with_a_cell_of_text_are_words_in_doubt(tmp_path: Path, cell: str) -> None:
    """The terminal, the recipe's comment and, with --formula, the list of columns left out name the cell."""
    cells = [f"{1 + row % 7}.0" for row in range(400)]
    cells[7] = cell
    inspection = inspect(rooms_table(tmp_path, cells), "y")
    told = f'mostly numbers, but row 8 (line 9) holds "{cell}" (1 cell is no number); to use it as numbers'
    assert (inspection.facts("rooms").kind, columns_left_out(inspection)) == ("words", [])
    (line,) = columns_in_doubt(inspection)
    assert line.startswith(f'in doubt: "rooms": used as words; {told}')
    (comment,) = [line for line in draft_recipe(inspection, tmp_path).splitlines() if line.startswith('  "rooms",')]
    assert told in comment
    (line,) = columns_left_out(inspection, formula=True)
    assert line.startswith(f'left out: "rooms": {told}')
    (line,) = columns_in_doubt(inspect(tmp_path / "t.csv", "rooms"))
    assert line.startswith(f'in doubt: "rooms": used as words; {told}')


@pytest.mark.parametrize("codes", ["12AB", "0AB", "1A", "12ABC"])
def test_codes_are_words_without_doubt(tmp_path: Path, codes: str) -> None:
    """At least as many different texts as numbers, also where most cells are numbers."""
    cells = [codes[0] if row % 2 else codes[row // 2 % len(codes)] for row in range(400)]
    inspection = inspect(rooms_table(tmp_path, cells), "y")
    assert inspection.facts("rooms").words == tuple(codes)
    assert columns_in_doubt(inspection) == columns_left_out(inspection) == []
