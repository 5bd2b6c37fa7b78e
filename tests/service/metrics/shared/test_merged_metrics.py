"""The metrics of several workers as one exposition: exact sums, gauges by their meaning, counts that stay."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.metrics.metrics import Metrics
from service.metrics.shared.cells import Cells, key, read
from service.metrics.shared.merged_metrics import MergedMetrics
from service.metrics.shared.processes import Processes
from service.metrics.shared.worker_metrics import WorkerMetrics
from tests.kit.clock import Clock
from tests.kit.models.training_rows import manifest_of

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
Event = tuple[int, str, float]

_KEPT_SECONDS = 15 * 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of all workers."""
    path = tmp_path / "workers"
    path.mkdir()
    return path


NewWorker = Callable[[str], WorkerMetrics]


@pytest.fixture
def new_worker(folder: Path) -> Iterator[NewWorker]:
    """Makes the metrics of a worker, in a folder of that name."""
    with ExitStack() as stack:

        def new(name: str) -> WorkerMetrics:
            worker = WorkerMetrics(folder / name)
            stack.callback(worker.close)
            return worker

        yield new


@pytest.fixture
def merged(folder: Path) -> MergedMetrics:
    """What the parent process shows."""
    return MergedMetrics(folder)


def scrape(metrics: Metrics | MergedMetrics) -> Samples:
    """Every sample of ours, through Prometheus' text format."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
        for sample in family.samples
        if sample.name.startswith("kan_")
    }


def value(metrics: MergedMetrics, name: str, **labels: str) -> float | None:
    """One sample; None if there is no such series."""
    return metrics.registry.get_sample_value(name, labels)


def start(metrics: Metrics) -> None:
    """Load one version."""
    metrics.build_info(version="0.1", onnxruntime="1.32")
    counts = metrics.model("digits", "3")
    counts.limits(batch_rows=64, queue_rows=100)
    counts.provider = "cpu"
    counts.placed(inline=True)
    metrics.model_ready("digits", 3, ready=True)
    if isinstance(metrics, WorkerMetrics):
        metrics.takes_calls()


def record(metrics: Metrics, what: str, number: float) -> None:
    """Let one thing happen."""
    counts = metrics.model("digits", "3")
    match what:
        case "OK" | "INTERNAL":
            counts.request("kan_api", what, number, number / 2)
        case "check":
            counts.request("health", "OK", number)
        case "accepted":
            counts.accepted(int(number))
        case "waited":
            counts.waited(number)
        case "ran":
            counts.ran(int(number), number / 1000)
        case "explained":
            counts.explanations.ran(int(number) + 1, number)
        case "overload" | "quota" | "unauthenticated":
            counts.rejected(what)
        case "sent":
            metrics.traces_ended(what, 2)
        case "refused":
            metrics.model_refused("digits", 4, "checksum")
        case "loaded":
            metrics.model_loaded("digits", number)
        case "swapped":
            metrics.model_swapped("digits")


_EVENTS = (
    *("OK", "INTERNAL", "check", "accepted", "waited", "ran", "explained", "overload", "quota", "unauthenticated"),
    *("refused", "loaded", "swapped", "sent"),
)
# Powers of two: their sums are exact in any order, but for those of thousandths of them.
_NUMBERS = st.integers(-16, 12).map(lambda exponent: 2.0**exponent)


@settings(max_examples=30, deadline=None)
@given(
    events=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(_EVENTS), _NUMBERS), max_size=40),
    ended=st.integers(0, 40),
)
def test_the_sums_are_those_of_one_process(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], ended: int
) -> None:
    """Three workers, one of which ends on the way, show every sample that one process with the same events shows.

    The limits of the queues differ: rows may wait in each worker that lives. A refusal stays counted, but only a worker
    that lives says that the version does not answer.
    """
    folder = tmp_path_factory.mktemp("workers")
    merged, single = MergedMetrics(folder), Metrics()
    workers = [WorkerMetrics(folder / str(place)) for place in range(3)]
    for metrics in (single, *workers):
        start(metrics)
        metrics.model_loaded("digits", 0.5)
    for _ in range(2):
        single.model_loaded("digits", 0.5)
    for place, (worker, what, number) in enumerate(events):
        if place == ended:
            workers[0].close()
            merged.end(folder / "0")
            workers[0] = WorkerMetrics(folder / "again")
            start(workers[0])
        record(single, what, number)
        record(workers[worker], what, number)
    expected, got = scrape(single), scrape(merged)
    for each in workers:
        each.close()
    of = (("model", "digits"), ("version", "3"))
    assert got.pop(("kan_queue_limit_rows", of)) == 3 * expected.pop(("kan_queue_limit_rows", of))
    refused = ("kan_model_ready", (("model", "digits"), ("version", "4")))
    assert got.pop(refused, 0.0) == expected.pop(refused, 0.0) == 0
    assert got == pytest.approx(expected, rel=1e-12)


def test_gauges_are_joined_by_their_meaning(folder: Path, merged: MergedMetrics, new_worker: NewWorker) -> None:
    """Waiting rows are added; a version is ready if every worker that has it is; the oldest scan counts."""
    workers = [new_worker(str(place)) for place in range(2)]
    for place, worker in enumerate(workers):
        start(worker)
        worker.model("digits", "3").queued(5 + place)
        worker.flush()
        worker.repository_seen()
    of = {"model": "digits", "version": "3"}
    assert value(merged, "kan_queue_rows", **of) == 11
    assert value(merged, "kan_queue_limit_rows", **of) == 200
    assert value(merged, "kan_batch_limit_rows", **of) == 64
    assert value(merged, "kan_model_ready", **of) == 1
    assert value(merged, "kan_model_info", **of, provider="cpu") == 1
    assert value(merged, "kan_build_info", version="0.1", onnxruntime="1.32") == 1
    seen = value(merged, "kan_repository_seen_timestamp_seconds")
    workers[1].repository_seen()
    assert value(merged, "kan_repository_seen_timestamp_seconds") == seen
    assert value(merged, "kan_model_inline", **of) == 1
    workers[0].model("digits", "3").placed(inline=False)
    assert value(merged, "kan_model_inline", **of) == 0
    workers[1].model("digits", "3").died()
    assert value(merged, "kan_model_ready", **of) == 0
    workers[1].model_retired("digits", 3)
    assert value(merged, "kan_model_ready", **of) == 1
    merged.end(folder / "0")
    assert value(merged, "kan_queue_rows", **of) == 6


@pytest.mark.parametrize("has_other_bytes", [True, False])
def test_a_worker_that_takes_no_calls_says_nothing_of_ready(
    merged: MergedMetrics, new_worker: NewWorker, has_other_bytes: bool
) -> None:
    """It starts, or is kept out. Whether it refused a version or has loaded it, those that take calls decide; a version
    that none of them has does not answer.
    """
    other, serving = new_worker("0"), new_worker("1")
    of = {"model": "digits", "version": "3"}
    if has_other_bytes:
        other.model_refused("digits", 3, "worker")
    else:
        other.model_ready("digits", 3, ready=True)
    assert value(merged, "kan_model_ready", **of) == 0
    start(serving)
    assert value(merged, "kan_model_ready", **of) == 1
    serving.model("digits", "3").died()
    assert value(merged, "kan_model_ready", **of) == 0
    serving.model_retired("digits", 3)
    assert value(merged, "kan_model_ready", **of) == 0
    other.model_retired("digits", 3)
    assert value(merged, "kan_model_ready", **of) is None


def test_files_are_valid_if_they_are_for_all(folder: Path, merged: MergedMetrics, new_worker: NewWorker) -> None:
    """One worker that finds the tokens invalid shows as 0; lost lines are added, and stay counted after an end."""
    workers = [new_worker(str(place)) for place in range(2)]
    files, logs = [SimpleNamespace(is_current=True) for _ in workers], [SimpleNamespace(lost=3) for _ in workers]
    for worker, tokens, log in zip(workers, files, logs, strict=True):
        worker.access.watch_files("tokens", tokens)
        worker.access.watch_log(log)
        worker.flush()
    assert value(merged, "kan_access_file_valid", file="tokens") == 1
    assert value(merged, "kan_access_file_valid", file="certificates") is None
    files[0].is_current, logs[0].lost = False, 4
    workers[0].flush()
    assert value(merged, "kan_access_file_valid", file="tokens") == 0
    assert value(merged, "kan_access_log_lost_total") == 7
    merged.end(folder / "0")
    assert value(merged, "kan_access_file_valid", file="tokens") == 1
    assert value(merged, "kan_access_log_lost_total") == 7


def test_the_certificate_that_ends_first_is_shown(folder: Path, merged: MergedMetrics, new_worker: NewWorker) -> None:
    """Two workers may have different ones in the seconds of a rotation; without TLS there is no such series."""
    workers = [new_worker(str(place)) for place in range(3)]
    workers[2].flush()
    assert value(merged, "kan_certificate_expires_timestamp_seconds") is None
    for worker, ends in zip(workers, (2e9, 1e9), strict=False):
        worker.access.watch_certificate(lambda ends=ends: ends)  # type: ignore[misc]
        worker.flush()
    assert value(merged, "kan_certificate_expires_timestamp_seconds") == 1e9
    merged.end(folder / "1")
    assert value(merged, "kan_certificate_expires_timestamp_seconds") == 2e9


def test_the_index_is_that_of_the_rows_of_all_workers(merged: MergedMetrics, new_worker: NewWorker) -> None:
    """Rows by cell are added, and the index of drift is computed from the sums: no worker has 1,000 rows by itself."""
    rng = np.random.default_rng(0)
    training = rng.normal(size=(2000, 2))
    manifest = manifest_of(training, training[:, :1])
    manifest.name = "digits"
    rows = rng.normal(0.5, size=(4000, 2)).astype(np.float32)
    single = Metrics()
    workers = [new_worker(str(place)) for place in range(2)]
    for metrics, served in ((single, [rows]), (workers[0], [rows[:2000]]), (workers[1], [rows[2000:]])):
        counts = metrics.model("digits", "3")
        counts.served = counts.served_by(manifest)
        metrics.model_ready("digits", 3, ready=True)
        if isinstance(metrics, WorkerMetrics):
            metrics.takes_calls()
        assert counts.served is not None
        for part in served:
            counts.served.keep(part, part[:, :1])
    for worker in workers:
        worker.flush()
    expected, got = scrape(single), scrape(merged)
    assert ("kan_model_column_psi", (("column", "x0"), ("model", "digits"), ("version", "3"))) in expected
    assert got == expected


def test_what_a_killed_worker_counted_stays_counted(folder: Path, merged: MergedMetrics) -> None:
    """A worker that is killed right after it counted loses nothing: 12,345 of 12,345 requests are shown."""
    program = (
        "import sys, pathlib, time\n"
        "from service.metrics.shared.worker_metrics import WorkerMetrics\n"
        "counts = WorkerMetrics(pathlib.Path(sys.argv[1])).model('digits', '3')\n"
        "for _ in range(12345):\n    counts.request('kan_api', 'OK', 0.25, 0.125)\n"
        "print('counted', flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder / "0")], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "counted\n"
        os.kill(worker.pid, signal.SIGKILL)
    of = {"model": "digits", "version": "3", "protocol": "kan_api"}
    for has_ended in (False, True):
        if has_ended:
            merged.end(folder / "0")
        assert value(merged, "kan_requests_total", **of, code="OK") == 12345
        assert value(merged, "kan_request_duration_seconds_sum", **of) == 12345 / 4
    assert not (folder / "0").exists()


@pytest.mark.parametrize("last", ["live", "ended"])
def test_a_version_is_shown_for_15_minutes_after_its_end(
    folder: Path, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """Its series and its file go after that, whether its worker lives or ended. Requests without a model stay."""
    clock = Clock()
    merged, worker = MergedMetrics(folder, clock), new_worker("0")
    monkeypatch.setattr(worker, "_clock", clock)
    worker.model("", "").request("kan_api", "NOT_FOUND", 0.1)
    start(worker)
    worker.model_loaded("digits", 1.0)
    worker.model_retired("digits", 3)
    files = len(list((folder / "0").iterdir()))
    if last == "ended":
        merged.end(folder / "0")

    def shows() -> bool:
        return any(dict(labels).get("model") == "digits" for _, labels in scrape(merged))

    assert shows()
    clock.now += _KEPT_SECONDS - 1
    worker.flush()
    assert shows()
    clock.now += 2
    worker.flush()
    if last == "live":
        assert len(list((folder / "0").iterdir())) == files - 1
        clock.now += _KEPT_SECONDS + 1
    assert not shows()
    assert value(merged, "kan_requests_total", model="", version="", protocol="kan_api", code="NOT_FOUND") == 1


def test_a_file_without_content_is_no_number(tmp_path: Path) -> None:
    """A worker may be killed between making a file and writing it; and a file may go while it is looked for."""
    (tmp_path / "empty").touch()
    assert read(tmp_path / "empty") == {}
    assert read(tmp_path / "absent") == {}
    cells = Cells(tmp_path / "cells")
    assert read(tmp_path / "cells") == {}
    cells.write(key("a", 1, True), 2.5)
    cells.write(key("b"), 1, 0.5)
    cells.write(key("b"), 2, 1.5)
    assert read(tmp_path / "cells") == {("a", 1, True): 2.5, ("b",): 2, ("b", "total"): 1.5}
    cells.remove()
    cells.remove()
    cells.write(key("a", 1, True), 3.0)
    assert not (tmp_path / "cells").exists()


def test_processor_time_and_memory_are_those_of_all_processes(folder: Path) -> None:
    """Memory is the sum over the processes; the processor time of a child that ended stays."""
    children: list[int] = []
    merged = MergedMetrics(folder)
    merged.registry.register(Processes(lambda: children))
    alone = value(merged, "process_resident_memory_bytes")
    busy = "n = 0\nwhile n < 5_000_000: n += 1\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        children.append(child.pid)
        both = value(merged, "process_resident_memory_bytes")
        seconds = value(merged, "process_cpu_seconds_total")
        assert alone is not None
        assert both is not None
        assert seconds is not None
        assert both > alone + 2**20
        child.communicate("\n")
    children.clear()
    after = value(merged, "process_cpu_seconds_total")
    assert after is not None
    assert after >= seconds
