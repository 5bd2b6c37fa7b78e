"""Measure the cells that are not there yet, each in a process of its own."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.tables.cells import Cell, Cells, key_of, key_of_code, write_whole
from benchmarks.tables.methods.fits import ROOT, Running, run_process
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.methods.peers import PEERS
from benchmarks.tables.methods.process import Job
from benchmarks.tables.served import Served, time_answers
from benchmarks.tables.splits import Split

METHODS = (OURS, *PEERS)
# Ours is not cut off: a budget of its own ends it.
_OURS_SECONDS = 3600
# A fit of so many seconds by the clock hangs; other work may share the machine, so this is no cap.
_HANGS_SECONDS = 4 * 3600


@dataclass(frozen=True)
class Task:
    """A cell to measure or to find."""

    split: Split
    method: str
    cap_seconds: int
    code: str

    @property
    def key(self) -> str:
        """Names all that may change the cell: the rows, and the peer's packages or our code."""
        identity = self.code if self.method == OURS else PEERS[self.method].identity
        return key_of([self.split.fingerprint, identity])


def plan(splits: Sequence[Split], methods: Sequence[str], cap_seconds: int) -> list[Task]:
    """Every cell of these splits and methods, the quick methods of all tables first."""
    code = key_of_code(ROOT)
    return [
        Task(split, method, _OURS_SECONDS if method == OURS else cap_seconds, code)
        for method in sorted(methods, key=lambda method: method == "EBM")
        for split in splits
    ]


def measure(
    tasks: Sequence[Task], cells: Cells, jobs: int, tell: Callable[[Cell], None], *, only_found: bool = False
) -> list[Cell]:
    """Find the cells, and measure those that are missing.

    Args:
        tasks: What to measure.
        cells: Where cells are kept; each is written as soon as it is measured.
        jobs: How many processes may fit at a time.
        tell: Called with each cell that was measured now.
        only_found: Measure nothing.

    Returns:
        The cells in the order of the tasks, without missing ones.
    """

    def find_or_measure(task: Task) -> Cell | None:
        source = task.split.source
        cell = cells.load(source.name, task.split.number, task.method, task.key, task.cap_seconds)
        # A failed fit is tried again: what ended it may have been the machine.
        if (cell is None or cell.status == "failed") and not only_found:
            cell = _measure(task, cells, running)
            cells.store(cell, task.key)
            tell(cell)
        return cell

    running = Running()
    with ThreadPoolExecutor(jobs) as pool:
        found = pool.map(find_or_measure, tasks)
        try:
            return [cell for cell in found if cell is not None]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            running.stop()
            raise


def time_served(tasks: Sequence[Task], cells: Cells, *, only_found: bool) -> dict[tuple[str, int], Served]:
    """Time our answers and LightGBM's in turn, after all fits; they are kept beside the cells."""
    by_place = {(task.split.source.name, task.split.number, task.method): task for task in tasks}
    found = {}
    for (name, number, method), task in by_place.items():
        peer = by_place.get((name, number, "LightGBM"))
        if method != OURS or peer is None:
            continue
        path = cells.place(name, number, "served", key_of([task.key, peer.key]))
        folders = _keep_folder(task, cells), _keep_folder(peer, cells)
        if path.exists():
            texts = json.loads(path.read_text(encoding="utf-8"))
            found[name, number] = Served(*({int(rows): us for rows, us in texts[key].items()} for key in texts))
        elif not only_found and (folders[0] / "model.onnx").exists() and (folders[1] / "lightgbm.txt").exists():
            found[name, number] = time_answers(*folders)
            write_whole(path, json.dumps(asdict(found[name, number])))
    return found


def _keep_folder(task: Task, cells: Cells) -> Path:
    """Where a fit keeps what is measured later."""
    return cells.place(task.split.source.name, task.split.number, task.method, task.key).with_suffix("")


def _measure(task: Task, cells: Cells, running: Running) -> Cell:
    source, split = task.split.source, task.split
    job = Job(
        method=task.method,
        model=source.name,
        train=str(split.train.resolve()),
        test=str(split.test.resolve()),
        target=source.target,
        is_classification=source.task != "regression",
        keep=str(_keep_folder(task, cells).resolve()),
        cap_seconds=task.cap_seconds,
    )
    status, text = run_process(job, _HANGS_SECONDS, running)
    if status == "done":
        return Cell(source.name, split.number, task.method, status, cap_seconds=task.cap_seconds, **json.loads(text))
    return Cell(source.name, split.number, task.method, status, cap_seconds=task.cap_seconds, why=text)
