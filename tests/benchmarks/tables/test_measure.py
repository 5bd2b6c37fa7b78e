"""What is measured before is not measured again, and a fit that needs too long is ended."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.tables.cells import Cell, Cells
from benchmarks.tables.measure import Task, measure, plan
from benchmarks.tables.splits import Split

LINEAR = "linear"


def _task(split: Split, cap_seconds: int = 300) -> Task:
    return Task(split, LINEAR, cap_seconds, code="none")


def _cell(error: float) -> Cell:
    return Cell("small", 0, LINEAR, "done", {"error": error, "trivial": 1.0}, fit_cpu_seconds=1.0, cap_seconds=300)


def _refuse(cell: Cell) -> None:
    raise AssertionError(f"{cell} was measured")


def test_found_cells_are_not_measured(tmp_path: Path, split: Split) -> None:
    """A run goes on where one that was killed ended."""
    cells = Cells(tmp_path / "cells")
    cells.store(_cell(0.125), _task(split).key)
    assert measure([_task(split)], cells, 1, _refuse) == [_cell(0.125)]


def test_cells_of_other_rows_do_not_count(tmp_path: Path, split: Split) -> None:
    """Nor are they measured where the run only shows what is there."""
    cells = Cells(tmp_path / "cells")
    cells.store(_cell(0.125), _task(split).key)
    other = replace(split, fingerprint="of other rows")
    assert measure([_task(other)], cells, 1, _refuse, only_found=True) == []


def test_our_cells_are_of_our_code(split: Split) -> None:
    """A peer's are not: they stay when our sources change."""
    ours, changed = (Task(split, "ours", 300, code) for code in ("before", "after"))
    assert ours.key != changed.key
    assert replace(_task(split), code="before").key == replace(_task(split), code="after").key


def test_slow_method_comes_last(split: Split) -> None:
    """EBM, so that a run that is stopped has the others; a cap is for the peers, and ours has its own budget."""
    tasks = plan([split, replace(split, number=1)], ["ours", "EBM", LINEAR], cap_seconds=30)
    assert [(task.method, task.split.number) for task in tasks[-2:]] == [("EBM", 0), ("EBM", 1)]
    assert {task.cap_seconds for task in tasks if task.method != "ours"} == {30}
    assert all(task.cap_seconds > 300 for task in tasks if task.method == "ours")


@pytest.mark.slow
def test_fit_is_measured_and_kept(tmp_path: Path, split: Split) -> None:
    """The linear peer finds a sum of number and word; a second run finds its cell. A failed cell is tried again."""
    cells, told = Cells(tmp_path / "cells"), list[Cell]()
    cells.store(Cell("small", 0, LINEAR, "failed", why="the machine was out of memory"), _task(split).key)
    [found] = measure([_task(split)], cells, 1, told.append)
    assert (found.status, found.unanswered_rows) == ("done", 0)
    assert found.error < 0.05
    assert found.fit_cpu_seconds > 0
    assert told == [found]
    assert measure([_task(split)], cells, 1, _refuse) == [found]


@pytest.mark.slow
def test_fit_that_fails_is_a_cell_that_says_why(tmp_path: Path, split: Split) -> None:
    """One method that cannot fit a table does not end the run."""
    split.train.write_text("number,word,target\n1,a,not a number\n2,b,neither\n")
    [found] = measure([_task(split)], Cells(tmp_path / "cells"), 1, lambda _: None)
    assert found.status == "failed"
    assert "Error" in found.why
