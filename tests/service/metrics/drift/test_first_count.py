"""The cells of a version are built when rows are counted for the first time: once, not by a load or the event loop."""

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from kan_api.v1 import manifest_pb2 as pb
from service.metrics.drift import cells, served_rows
from service.metrics.drift.cells import Counted
from service.metrics.drift.columns import counted_answers, counted_columns
from service.metrics.drift.served_rows import ServedRows
from service.metrics.metrics import Metrics
from service.metrics.shared.worker_metrics import WorkerMetrics
from service.registry.model.live_model import load
from service.repository.disk import read_version
from service.settings import Settings
from tests.kit.models.repository import WriteModel
from tests.kit.models.training_rows import manifest_of, trained_on_normal_rows
from tests.kit.waiting import run_test

Found = tuple[Sequence[Counted], Sequence[Counted]]
TRAINING = np.random.default_rng(0).normal(size=(2000, 3))
MANIFEST = manifest_of(TRAINING, TRAINING[:, :2])
# Are kept before the cells are built, and with the cells of this manifest while they are built.
BOUND, MOST = 1024, 16 * 1024


class HeldBuild:
    """Builds the cells of MANIFEST when it may go on. It knows the threads in which it was called."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self) -> Found:
        self.threads.append(threading.current_thread())
        self.begun.set()
        assert self.go_on.wait(60)
        return counted_columns(MANIFEST), counted_answers(MANIFEST)


@contextmanager
def built_here() -> Iterator[list[str]]:
    """The functions of `cells` that this thread calls."""
    called: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename == cells.__file__:
            called.append(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)


def keep(served: ServedRows, rows: int) -> None:
    """Keep the rows of one run."""
    served.keep(np.zeros((rows, 3), np.float32), np.zeros((rows, 2), np.float32))


def rows_of(served: ServedRows) -> set[int]:
    """How many rows each column and output has counted."""
    columns, answers = served.read()
    return {int(each.rows.sum()) for each in (*columns, *answers)}


def run_all(work: Sequence[Callable[[], object]]) -> list[threading.Thread]:
    """Threads that do work."""
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    return threads


def join_all(threads: Sequence[threading.Thread]) -> None:
    """Wait until they have ended."""
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_a_load_builds_no_cells(models: Path, write_model: WriteModel) -> None:
    """They are built by the first scrape; the second one only reads."""
    write_model("affine", change=trained_on_normal_rows("affine"))
    metrics = Metrics()

    async def test() -> None:
        with built_here() as in_load:
            model = load(read_version(models, "affine", 1), Settings(models=models), metrics)
            model.report()
        assert in_load == []
        for is_first in (True, False):
            with built_here() as in_scrape:
                labels = {"model": "affine", "version": "1", "column": "x0", "cell": "below"}
                assert metrics.registry.get_sample_value("kan_model_column_rows_total", labels) == 0
            assert ("number_cells" in in_scrape) == is_first
        await model.close()

    run_test(test())


def test_a_worker_builds_cells_in_the_thread_of_the_load(tmp_path: Path) -> None:
    """Its event loop writes the counts by cell twice a second: also the first time it builds nothing."""
    metrics = WorkerMetrics(tmp_path / "worker")
    counts = metrics.model("table", "1")
    with built_here() as in_load:
        counts.served = counts.served_by(MANIFEST)
    assert "number_cells" in in_load
    with built_here() as in_flush:
        metrics.flush()
    assert in_flush == []
    metrics.close()


def test_rows_of_many_threads_are_counted_while_the_cells_are_built() -> None:
    """Six threads keep 12,000 rows and none of them waits; two scrapes wait. The cells are built once."""
    build = HeldBuild()
    served = ServedRows(build, 5, MANIFEST)

    def keep_many() -> None:
        for _ in range(400):
            keep(served, 5)

    keepers = run_all([keep_many] * 6)
    assert build.begun.wait(60)
    join_all(keepers)
    assert served._kept_rows == 12_000
    assert [thread.name for thread in threading.enumerate()].count("cells of table") == 1
    readers = run_all([served.read] * 2)
    build.go_on.set()
    join_all(readers)
    assert rows_of(served) == {12_000}
    assert len(build.threads) == 1


def test_at_the_bound_rows_are_counted_without_a_scrape() -> None:
    """The thread that builds the cells counts what was kept meanwhile, and ends."""
    build = HeldBuild()
    served = ServedRows(build, 5, MANIFEST)
    keep(served, BOUND - 1)
    assert not build.begun.is_set()
    assert served._builder is None
    keep(served, 1)
    keep(served, 7)
    build.go_on.set()
    assert served._builder is not None
    join_all([served._builder])
    assert served._kept == []
    assert rows_of(served) == {BOUND + 7}


def test_the_event_loop_never_builds_cells_nor_waits_for_them() -> None:
    """It keeps rows up to the bound, and goes on while the cells are built in a daemon thread."""
    build = HeldBuild()
    served = ServedRows(build, 5, MANIFEST)

    async def test() -> None:
        for _ in range(2 * BOUND):
            keep(served, 1)
        build.go_on.set()
        assert await asyncio.to_thread(rows_of, served) == {2 * BOUND}

    run_test(test())
    assert [thread.daemon for thread in build.threads] == [True]
    assert build.threads[0] is not threading.current_thread()


@pytest.mark.parametrize("slow", ["build", "count"])
def test_slow_work_bounds_the_memory_and_loses_no_row(slow: str) -> None:
    """A run beyond 16 times the bound waits, for the cells or for the count. The runs after it go on as usual."""
    begun, go_on = threading.Event(), threading.Event()

    def work(now: str) -> None:
        if now == slow:
            begun.set()
            assert go_on.wait(60)

    def count(rows: cells.Rows) -> cells.Counts:
        work("count")
        return np.array([len(rows)])

    def build() -> Found:
        work("build")
        return [Counted("c", ("all",), None, count)], []

    served = ServedRows(build, 5, MANIFEST)

    def keep_many() -> None:
        for _ in range(40):
            keep(served, BOUND)

    (keeper,) = run_all([keep_many])
    assert begun.wait(60)
    keeper.join(0.5)
    assert keeper.is_alive()
    assert served._kept_rows <= MOST
    go_on.set()
    join_all([keeper])
    assert rows_of(served) == {40 * BOUND}


@pytest.mark.parametrize("first", ["scrape", "bound"])
def test_an_error_is_logged_once(first: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Then the version has no series and keeps no rows; a load with the same manifest does not try again."""

    def fail(_: pb.ModelManifest) -> tuple[Counted, ...]:
        raise ArithmeticError("no cell")

    monkeypatch.setattr(served_rows, "counted_answers", fail)
    counts = Metrics().model("table", "1")
    with caplog.at_level(logging.ERROR):
        served = counts.served = counts.served_by(MANIFEST)
        assert served is not None
        assert caplog.records == []
        keep(served, 1 if first == "scrape" else BOUND)
        if served._builder is not None:
            join_all([served._builder])
        assert (served._builder is None) == (first == "scrape")
        for _ in range(2):
            assert served.read() == ([], [])
            keep(served, 1)
        assert counts.served_by(MANIFEST) is served
    assert [record.getMessage() for record in caplog.records] == ["rows of model table version 1 cannot be counted"]
    assert served._kept == []


@pytest.mark.parametrize("blocks", [3, 20])
def test_a_system_without_threads_loses_no_rows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, blocks: int
) -> None:
    """They are counted at a scrape, or by the run that exceeds the bound of what is kept."""

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    served = ServedRows.of(MANIFEST)
    assert served is not None
    with caplog.at_level(logging.ERROR), monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        for _ in range(blocks):
            keep(served, BOUND)
    assert served._kept_rows < 16 * BOUND
    assert rows_of(served) == {blocks * BOUND}
    assert not caplog.records


def test_a_thread_that_fails_before_it_builds_bounds_the_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log; no further rows are kept, and no run waits."""

    def fail() -> None:
        raise MemoryError

    monkeypatch.setattr(served_rows, "take_brief_slices", fail)
    served = ServedRows.of(MANIFEST)
    assert served is not None
    with caplog.at_level(logging.ERROR):
        for _ in range(40):
            keep(served, BOUND)
    assert served._kept_rows <= MOST
    assert [record.getMessage() for record in caplog.records] == [
        "served rows can no longer be counted; predictions go on"
    ]


def test_a_version_whose_histograms_are_no_such_has_no_series() -> None:
    """Only the first scrape finds that nothing can be counted. It shows what it shows without counts."""
    manifest = pb.ModelManifest()
    manifest.CopyFrom(MANIFEST)
    for histogram in (*(feature.histogram for feature in manifest.features), *manifest.answers):
        histogram.counts[0] = -1
    metrics = Metrics()
    counts = metrics.model("table", "1")

    def samples() -> list[tuple[str, object, float]]:
        found = [sample for family in metrics.collect() for sample in family.samples]
        return [(each.name, each.labels, each.value) for each in found if each.labels.get("model") == "table"]

    without = samples()
    counts.served = counts.served_by(manifest)
    assert counts.served is not None
    keep(counts.served, 5)
    assert samples() == without
    keep(counts.served, 1)
    assert counts.served._kept == []


# The cells are never complete: the thread is at work when the process ends.
_END = """
import itertools, threading
import numpy as np
from kan_api.v1.manifest_pb2 import ModelManifest
from service.metrics.drift.served_rows import ServedRows

begun = threading.Event()

def build():
    begun.set()
    return [each for each in itertools.count() if each < 0], []

served = ServedRows(build, 5, ModelManifest())
served.keep(np.zeros((1024, 3), np.float32), np.zeros((1024, 2), np.float32))
assert begun.wait(60)
"""


def test_a_process_ends_while_cells_are_built() -> None:
    """It does not wait for them, and says nothing."""
    ended = subprocess.run([sys.executable, "-c", _END], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
