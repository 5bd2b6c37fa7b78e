"""Find the cells, and measure those that are not there yet, each in a process of its own."""

import json
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from benchmarks.tables.cells import Cell, Cells, today
from benchmarks.tables.kept import Entry, Kept
from benchmarks.tables.methods.fits import Running, run_process
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.methods.process import Job
from benchmarks.tables.served import NAME as SERVED
from benchmarks.tables.served import Pair, has_model, pairs_of
from benchmarks.tables.tasks import Task

# A fit of so many seconds by the clock hangs; other work may share the machine, so this is no cap.
_HANGS_SECONDS = 4 * 3600


def measure(
    tasks: Sequence[Task],
    cells: Cells,
    kept: Kept,
    jobs: int,
    tell: Callable[[Cell], None],
    *,
    timed: Collection[tuple[str, int]] = (),
    only_found: bool = False,
) -> list[Cell]:
    """Find the cells, first in the cache and then among the kept ones, and measure those that are missing.

    A peer that is cut off on the first of a table's splits counts as cut off on the others too: one such fit is enough
    for the table to leave its ratios and for the peer to rank last there.

    Args:
        tasks: What to measure.
        cells: The cache; each cell is written as soon as it is measured.
        kept: The peers' cells that are kept in the repository.
        jobs: How many processes may fit at a time.
        tell: Called with each cell that was measured now.
        timed: Tables and splits whose answers are timed already; elsewhere a fit counts only with its model.
        only_found: Measure nothing.

    Returns:
        The cells in the order of the tasks, without missing ones.
    """

    def find_or_measure(task: Task) -> Cell | None:
        before = first[task.split.source.name, task.method]
        cell = _find(task, cells, kept) or _cut_off_before(task, before, cells, kept)
        # A failed fit is tried again: what ended it may have been the machine.
        is_enough = cell is not None and cell.status != "failed" and not _lacks_model(task, cell, cells, timed)
        if not is_enough and not only_found:
            cell = _measure(task, cells, running)
            cells.store(cell, task.key)
            tell(cell)
        return cell

    first: dict[tuple[str, str], Task] = {}
    for each in tasks:
        first.setdefault((each.split.source.name, each.method), each)
    running = Running()
    with ThreadPoolExecutor(jobs) as pool:
        found = pool.map(find_or_measure, tasks)
        try:
            return [cell for cell in found if cell is not None]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            running.stop()
            raise


def keep(tasks: Sequence[Task], cells: Cells, kept: Kept, *, with_ours: bool) -> list[Path]:
    """Copy cells of these tasks from the cache to the kept ones.

    Args:
        tasks: Whose cells to copy. Failed ones are left out, because each run tries them again.
        cells: The cache.
        kept: Where to write them.
        with_ours: Whether ours and the times of answers are copied too: for a run that is recorded.

    Returns:
        The files that changed.
    """
    entries = []
    measured: list[Task | Pair] = [*tasks, *pairs_of(tasks)]
    for each in measured:
        cell = cells.load(*each.place, each.key)
        is_ours = each.place[2] in (OURS, SERVED)
        if cell is not None and cell.status != "failed" and (with_ours or not is_ours):
            entries.append(Entry(cell, each.rows, each.identity))
    return kept.keep(entries)


def _find(task: Task, cells: Cells, kept: Kept) -> Cell | None:
    """The cell under the task's cap that says more: done, cut off, failed; of equal ones that of the cache.

    So a fit that a quick run cut off hides none that ended elsewhere.
    """
    both = cells.load(*task.place, task.key), kept.find(*task.place, task.rows, task.identity)
    shown = [cell.under(task.cap_seconds, task.counted_seconds) for cell in both if cell is not None]
    found = [cell for cell in shown if cell is not None]
    return min(found, key=lambda cell: ("done", "capped", "failed").index(cell.status), default=None)


def _cut_off_before(task: Task, first: Task, cells: Cells, kept: Kept) -> Cell | None:
    """The cell of the table's first split, for this one, if a peer was cut off there."""
    cell = None if first is task or task.method == OURS else _find(first, cells, kept)
    return replace(cell, split=task.split.number) if cell is not None and cell.status == "capped" else None


def _lacks_model(task: Task, cell: Cell, cells: Cells, timed: Collection[tuple[str, int]]) -> bool:
    if not task.leaves_model or cell.status != "done" or task.place[:2] in timed:
        return False
    return not has_model(cells.folder_of(*task.place, task.key))


def _measure(task: Task, cells: Cells, running: Running) -> Cell:
    source, split = task.split.source, task.split
    job = Job(
        method=task.method,
        model=source.name,
        train=str(split.train.resolve()),
        test=str(split.test.resolve()),
        target=source.target,
        is_classification=source.task != "regression",
        keep=str(cells.folder_of(*task.place, task.key).resolve()),
        cap_seconds=task.cap_seconds,
    )
    status, text = run_process(job, _HANGS_SECONDS, running)
    found = json.loads(text) if status == "done" else {"why": text}
    return Cell(*task.place, status, cap_seconds=task.cap_seconds, date=today(), **found)
