"""What is measured before is not measured again, and a fit that needs too long is ended."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.tables.cells import Cell, Cells
from benchmarks.tables.kept import Entry, Kept
from benchmarks.tables.measure import keep, measure
from benchmarks.tables.served import find_served, pairs_of
from benchmarks.tables.splits import Split
from benchmarks.tables.tasks import Task, plan

LINEAR = "linear"


def _task(split: Split, cap_seconds: int = 300) -> Task:
    return Task(split, LINEAR, cap_seconds, cap_seconds, code="none")


def _cell(error: float) -> Cell:
    scores = {"error": error, "trivial": 1.0}
    return Cell("small", 0, LINEAR, "done", scores, fit_cpu_seconds=1.0, cap_seconds=300, date="2026-11-27")


def _refuse(cell: Cell) -> None:
    raise AssertionError(f"{cell} was measured")


def test_found_cells_are_not_measured(tmp_path: Path, split: Split) -> None:
    """A run goes on where one that was killed ended."""
    cells = Cells(tmp_path / "cells")
    cells.store(_cell(0.125), _task(split).key)
    assert measure([_task(split)], cells, Kept(tmp_path / "measured"), 1, _refuse) == [_cell(0.125)]


def test_cells_of_other_rows_do_not_count(tmp_path: Path, split: Split) -> None:
    """Nor are they measured where the run only shows what is there."""
    cells = Cells(tmp_path / "cells")
    cells.store(_cell(0.125), _task(split).key)
    other = replace(split, fingerprint="of other rows")
    assert measure([_task(other)], cells, Kept(tmp_path / "measured"), 1, _refuse, only_found=True) == []


def test_kept_cells_are_not_measured(tmp_path: Path, split: Split) -> None:
    """A machine without the cache takes them from the repository, while rows and packages are the same."""
    cells, kept, task = Cells(tmp_path / "cells"), Kept(tmp_path / "measured"), _task(split)
    cells.store(_cell(0.125), task.key)
    assert keep([task], cells, kept, with_ours=False) == [tmp_path / "measured" / "linear.json"]
    elsewhere = Cells(tmp_path / "other machine")
    [found] = measure([task], elsewhere, kept, 1, _refuse)
    assert found == replace(_cell(0.125), is_kept=True)
    other = replace(task, split=replace(split, fingerprint="of other rows"))
    assert measure([other], elsewhere, kept, 1, _refuse, only_found=True) == []


def test_cell_of_this_machine_comes_before_a_kept_one(tmp_path: Path, split: Split) -> None:
    """Except where it was cut off, also by the cap of this very run, or failed: that must hide no fit that ended."""
    cells, kept, task = Cells(tmp_path / "cells"), Kept(tmp_path / "measured"), _task(split, cap_seconds=30)
    kept.keep([Entry(_cell(0.125), split.fingerprint, task.identity)])
    for here, expected in (
        (_cell(0.25), 0.25),
        (Cell("small", 0, LINEAR, "capped", cap_seconds=30), 0.125),
        (Cell("small", 0, LINEAR, "failed", cap_seconds=30), 0.125),
    ):
        cells.store(here, task.key)
        assert [cell.error for cell in measure([task], cells, kept, 1, _refuse)] == [expected]


def test_a_peer_cut_off_on_the_first_split_is_not_measured_on_the_others(tmp_path: Path, split: Split) -> None:
    """It would leave the ratios and rank last in any case. Ours is measured on all."""
    cells, kept = Cells(tmp_path / "cells"), Kept(tmp_path / "measured")
    other = replace(split, number=1, fingerprint="of other rows")
    tasks = [_task(split), _task(other)]
    cut_off = Cell("small", 0, LINEAR, "capped", cap_seconds=300)
    cells.store(cut_off, tasks[0].key)
    assert [(cell.split, cell.status) for cell in measure(tasks, cells, kept, 1, _refuse)] == [
        (0, "capped"),
        (1, "capped"),
    ]
    ours = [replace(task, method="ours") for task in tasks]
    cells.store(replace(cut_off, method="ours"), ours[0].key)
    assert [cell.split for cell in measure(ours, cells, kept, 1, _refuse, only_found=True)] == [0]


def test_recorded_run_goes_on_on_another_machine(tmp_path: Path, split: Split) -> None:
    """Its own cells and the times of its answers are kept; they count for the same code only."""
    pytest.importorskip("lightgbm", reason="only the extra [bench] has it")
    cells, kept = Cells(tmp_path / "cells"), Kept(tmp_path / "measured")
    tasks = plan([split], ["ours", "LightGBM"], "code", cap_seconds=300)
    [pair] = pairs_of(tasks)
    for task in tasks:
        cells.store(replace(_cell(0.125), method=task.method), task.key)
    cells.store(replace(_cell(0.125), method="answers"), pair.key)
    changed = keep(tasks, cells, kept, with_ours=True)
    assert sorted(path.name for path in changed) == ["LightGBM.json", "answers.json", "ours.json"]
    elsewhere = Cells(tmp_path / "other machine")
    timed = find_served(tasks, elsewhere, kept)
    assert [cell.error for cell in measure(tasks, elsewhere, kept, 1, _refuse, timed=timed)] == [0.125, 0.125]
    other = [replace(task, code="other") for task in tasks if task.method == "ours"]
    assert measure(other, elsewhere, kept, 1, _refuse, only_found=True) == []


def test_ours_and_failed_fits_are_not_kept(tmp_path: Path, split: Split) -> None:
    """Ours change with every commit; a failed fit is tried again."""
    cells, kept = Cells(tmp_path / "cells"), Kept(tmp_path / "measured")
    tasks = plan([split], ["ours", LINEAR], "code", cap_seconds=300)
    cells.store(replace(_cell(0.125), method="ours"), tasks[0].key)
    cells.store(Cell("small", 0, LINEAR, "failed", why="out of memory"), tasks[1].key)
    assert keep(tasks, cells, kept, with_ours=False) == []
    assert not kept.folder.exists()


@pytest.mark.slow
def test_lightgbm_is_fitted_anew_where_its_model_is_missing(tmp_path: Path, split: Split) -> None:
    """A kept cell has no model, and the timing of answers needs one; without ours nothing is timed."""
    pytest.importorskip("lightgbm", reason="only the extra [bench] has it")
    cells, kept, told = Cells(tmp_path / "cells"), Kept(tmp_path / "measured"), list[Cell]()
    [alone] = plan([split], ["LightGBM"], "code", cap_seconds=300)
    kept.keep([Entry(replace(_cell(0.125), method="LightGBM"), split.fingerprint, alone.identity)])
    assert [cell.error for cell in measure([alone], cells, kept, 1, _refuse)] == [0.125]
    beside_ours = plan([split], ["ours", "LightGBM"], "code", cap_seconds=300)[1]
    [found] = measure([beside_ours], cells, kept, 1, told.append)
    assert told == [found]
    assert not found.is_kept
    assert cells.place("small", 0, "LightGBM", alone.key).with_suffix("").joinpath("lightgbm.txt").exists()
    assert measure([beside_ours], cells, kept, 1, _refuse) == [found]


@pytest.mark.slow
def test_fit_is_measured_and_kept(tmp_path: Path, split: Split) -> None:
    """The linear peer finds a sum of number and word; a second run finds its cell. A failed cell is tried again."""
    cells, told = Cells(tmp_path / "cells"), list[Cell]()
    cells.store(Cell("small", 0, LINEAR, "failed", why="the machine was out of memory"), _task(split).key)
    [found] = measure([_task(split)], cells, Kept(tmp_path / "measured"), 1, told.append)
    assert (found.status, found.unanswered_rows) == ("done", 0)
    assert found.error < 0.05
    assert found.fit_cpu_seconds > 0
    assert told == [found]
    assert measure([_task(split)], cells, Kept(tmp_path / "measured"), 1, _refuse) == [found]


@pytest.mark.slow
def test_fit_that_fails_is_a_cell_that_says_why(tmp_path: Path, split: Split) -> None:
    """One method that cannot fit a table does not end the run."""
    split.train.write_text("number,word,target\n1,a,not a number\n2,b,neither\n")
    [found] = measure([_task(split)], Cells(tmp_path / "cells"), Kept(tmp_path / "measured"), 1, lambda _: None)
    assert found.status == "failed"
    assert "Error" in found.why
