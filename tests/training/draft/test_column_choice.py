"""Ids and row numbers are told from measurements, and each column that is left out has a reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from training.draft.column_choice import is_counter, is_id, why_left_out, why_unusable
from training.draft.inspection import ColumnFacts, Inspection, inspect


def column(folder: Path, cells: Any, name: str = "nr") -> tuple[Inspection, ColumnFacts]:
    """A table of 200 rows with this column, and the column's facts."""
    pd.DataFrame({name: cells, "y": np.linspace(0, 1, 200)}).to_csv(folder / "t.csv", index=False)
    inspection = inspect(folder / "t.csv", "y")
    return inspection, inspection.facts(name)


@pytest.mark.parametrize("name", ["customer_id", "customerId", "ID", "user uuid", "paid", "grid", "humid"])
def test_words_that_end_like_ids_are_not_ids(tmp_path: Path, name: str) -> None:
    """An id is a word of its own in the name. A column of decimals is none, whatever its name."""
    _, facts = column(tmp_path, np.arange(200) // 5, name)
    assert is_id(facts) == (name not in ("paid", "grid", "humid"))
    _, facts = column(tmp_path, np.arange(200) / 3, name)
    assert not is_id(facts)


@pytest.mark.parametrize("largest", [200, 240, 1500])
def test_row_numbers_are_recognized_in_any_order(tmp_path: Path, largest: int) -> None:
    """Rows that were shuffled, or drawn from a longer table, keep their numbers; the column is left out."""
    inspection, facts = column(tmp_path, np.random.default_rng(0).permutation(largest)[:200] + 1)
    assert is_counter(inspection, facts)
    assert why_left_out(inspection, facts).startswith("whole numbers, each once and close together")
    assert why_unusable(inspection, facts) == ""


@pytest.mark.parametrize(
    "cells", [np.random.default_rng(0).permutation(100_000)[:200], np.append(np.arange(199), 5), np.arange(200) / 3]
)
def test_measurements_are_no_row_numbers(tmp_path: Path, cells: Any) -> None:
    """Numbers far apart are different by chance; a number that repeats, or has decimals, counts nothing."""
    inspection, facts = column(tmp_path, np.random.default_rng(1).permutation(cells))
    assert not is_counter(inspection, facts)
    assert why_left_out(inspection, facts) == ""


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ([None] * 200, "no cell holds a value"),
        ([f"note {row}" for row in range(200)], "text, 200 different ones in 200 rows"),
        (["1e300", *["1"] * 199], "float32"),
    ],
)
def test_each_column_that_is_left_out_has_a_reason(tmp_path: Path, cells: Any, why: str) -> None:
    """Without a value, with a text of its own in each row, or with numbers that no model can read."""
    inspection, facts = column(tmp_path, cells)
    assert why in why_left_out(inspection, facts)
    assert bool(why_unusable(inspection, facts)) == (why == "float32")
