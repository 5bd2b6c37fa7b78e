"""A column of dates that a few cells spoil is told with the first of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.cli import main
from training.data.dataset import prepare
from training.draft.draft import columns_in_doubt, columns_left_out, draft_recipe
from training.draft.inspection import Inspection, inspect
from training.recipe.config import parse_recipe

DAYS = pd.date_range("2023-06-01", periods=300)


def inspected(folder: Path, form: str, strays: dict[int, str]) -> Inspection:
    """A table with a column of dates of this format but for the strays."""
    day = DAYS.strftime(form).to_numpy().astype(object)
    for row, cell in strays.items():
        day[row] = cell
    x = np.random.default_rng(0).normal(size=len(day))
    pd.DataFrame({"x": x, "day": day, "y": x**2}).to_csv(folder / "t.csv", index=False)
    return inspect(folder / "t.csv", "y")


def test_both_spellings_of_iso_are_one_format(tmp_path: Path) -> None:
    """2024-01-02 and 20240103 in one column: the days are those of pandas."""
    inspection = inspected(tmp_path, "%Y-%m-%d", {row: f"{DAYS[row]:%Y%m%d}" for row in range(1, 300, 2)})
    assert columns_left_out(inspection) == columns_in_doubt(inspection) == []
    recipe = parse_recipe(draft_recipe(inspection, tmp_path), folder=tmp_path, name="t")
    assert recipe.data.dates == {"day": "iso"}
    dataset = prepare(recipe)
    days = dataset.x[:, [feature.name for feature in dataset.features].index("day: days")]
    np.testing.assert_array_equal(days - days[0], (DAYS - DAYS[0]).days)


REMEDY = "; to use them as dates, empty or correct such cells and draft again with --force"


@pytest.mark.parametrize("cell", ["20241301", "20240230", "0"])
def test_a_number_that_is_no_date_is_told_and_the_column_is_used_as_numbers(tmp_path: Path, cell: str) -> None:
    """One bad cell of 300: the terminal and the recipe name it and its row."""
    inspection = inspected(tmp_path, "%Y%m%d", {7: cell, 20: cell})
    reason = f'nearly dates: 298 of 300 cells are like "20230601", but row 8 (line 9) holds "{cell}"{REMEDY}'
    assert columns_in_doubt(inspection) == [f'in doubt: "day": used as numbers; {reason}']
    assert reason in draft_recipe(inspection, tmp_path)


@pytest.mark.parametrize(
    ("form", "strays", "like"),
    [
        ("%Y-%m-%d", {0: "unknown"}, "2023-06-02"),
        ("%Y-%m-%d", {30: "2024-13-01"}, "2023-06-01"),
        ("%d/%m/%Y", {7: "31/02/2024"}, "01/06/2023"),
        ("%Y%m%d", {9: "03.01.2024", 11: "soon"}, "20230601"),
        ("%Y-%m-%d", {9: "2024-01"}, "2023-06-01"),
    ],
)
def test_a_text_that_is_no_date_leaves_the_column_out_by_name(
    tmp_path: Path, form: str, strays: dict[int, str], like: str
) -> None:
    """The line names the first cell that is not like most others, wherever it is."""
    row, cell = next(iter(strays.items()))
    assert columns_left_out(inspected(tmp_path, form, strays)) == [
        f'left out: "day": nearly dates: {300 - len(strays)} of 300 cells are like "{like}", '
        f'but row {row + 1} (line {row + 2}) holds "{cell}"{REMEDY}'
    ]


def test_counted_days_with_a_bad_one_are_no_row_numbers(tmp_path: Path) -> None:
    """20231301 after 20231231 keeps the order, so the column would pass for a counter."""
    (line,) = columns_left_out(inspected(tmp_path, "%Y%m%d", {214: "20231301"}))
    assert line.startswith('left out: "day": nearly dates: ')
    assert line.endswith('row 215 (line 216) holds "20231301"' + REMEDY)


def test_few_words_that_are_nearly_dates_are_words_in_doubt(tmp_path: Path) -> None:
    """Months and one word: they are used as words, and the terminal says so."""
    months = [f"2024-{1 + row % 12:02}" for row in range(300)]
    inspection = inspected(tmp_path, "%Y", dict(enumerate(["never", *months[1:]])))
    (line,) = columns_in_doubt(inspection)
    assert line.startswith('in doubt: "day": used as words; nearly dates: 299 of 300 cells')
    assert line.endswith('row 1 (line 2) holds "never"' + REMEDY)


@pytest.mark.parametrize("form", ["%Y%m%d", "%Y-%m-%d", "%d.%m.%Y"])
def test_plain_dates_are_not_in_doubt(tmp_path: Path, form: str) -> None:
    """Missing cells are no strays."""
    inspection = inspected(tmp_path, form, {3: "", 5: "NaT"})
    assert columns_left_out(inspection) == columns_in_doubt(inspection) == []
    assert inspection.facts("day").kind == "dates"


def test_numbers_of_that_size_are_no_dates(tmp_path: Path) -> None:
    """Of 300 numbers from 19 to 21 million about eleven are dates by chance: no doubt is told."""
    cells = np.random.default_rng(0).integers(19_000_101, 21_001_231, 300)
    inspection = inspected(tmp_path, "%Y", dict(enumerate(map(str, cells))))
    assert columns_in_doubt(inspection) == []


def test_the_command_prints_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``kan-train init`` has one line for the column."""
    inspected(tmp_path, "%Y%m%d", {7: "20241301"})
    monkeypatch.chdir(tmp_path)
    assert main(["init", "t.csv", "--target", "y"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if '"day"' in line]
    assert len(lines) == 1
    assert 'row 8 (line 9) holds "20241301"' in lines[0]
