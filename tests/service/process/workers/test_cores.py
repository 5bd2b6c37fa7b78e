"""The cores on which the workers run."""

import os
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import psutil
import pytest

from service.cores import cores_of_workers
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import FRONTENDS, KanServe, Start
from tests.kit.server.workers import ask, kill_worker, starts, wait_for_workers, workers
from tests.kit.waiting import wait_for

_ROWS = np.ones((1, 4), np.float32)
# All threads inherit a policy from outside, such as that of `chrt -i 0 pytest`.
_WITHOUT_A_POLICY = pytest.mark.skipif(
    os.sched_getscheduler(0) != os.SCHED_OTHER, reason="the tests run under a policy from outside"
)


@pytest.fixture(autouse=True)
def two_cores() -> Iterator[list[int]]:
    """What a server that starts now may use."""
    before = os.sched_getaffinity(0)
    two = sorted(before)[:2]
    os.sched_setaffinity(0, two)
    try:
        if cores_of_workers(2) != two:
            pytest.skip("this machine has less than two whole cores")
        yield two
    finally:
        os.sched_setaffinity(0, before)


def _cores(process: psutil.Process) -> set[tuple[int, ...]]:
    """Where the threads of a process may run."""
    found = set()
    for thread in process.threads():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            found.add(tuple(sorted(os.sched_getaffinity(thread.id))))
    return found


def _policies(process: psutil.Process) -> set[int]:
    """How the system chooses when the threads of a process run."""
    found = set()
    for thread in process.threads():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            found.add(os.sched_getscheduler(thread.id))
    return found


def _own_cores(server: KanServe) -> list[int]:
    """The core on which the main thread of each process under the parent must run."""
    found = [os.sched_getaffinity(each.pid) for start in starts(server) for each in (start, *start.children())]
    assert {len(each) for each in found} == {1}
    return sorted(core for each in found for core in each)


def test_each_worker_has_a_core_of_its_own_also_after_a_kill(
    two_workers: Start, write_model: WriteModel, two_cores: list[int]
) -> None:
    """All processes of a worker run on one core, those of the other one on the other; the parent runs on both.

    The next worker in the place of a killed one has the core of that one.
    """
    write_model("affine")
    server = two_workers()
    cores = [core for core in two_cores for _ in range(len(starts(server)[0].children()) + 1)]
    assert _own_cores(server) == cores
    assert _cores(psutil.Process(server.process.pid)) == {tuple(two_cores)}
    kill_worker(server, workers(server)[0])
    wait_for_workers(server, 2, restarts=1)
    assert _own_cores(server) == cores


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_auto_is_a_worker_for_each_core(
    kan_serve: Start, write_model: WriteModel, two_cores: list[int], frontend: str
) -> None:
    """On two cores that is two."""
    write_model("affine")
    server = kan_serve("--frontend", frontend, "--workers", "auto")
    assert len(workers(server)) == server.sample("kan_workers_configured") == len(two_cores)


def test_long_runs_may_use_the_core_of_the_other_worker(
    two_workers: Start, write_model: WriteModel, two_cores: list[int]
) -> None:
    """A slow model runs in a thread that may use both cores, so that the event loop is not held up."""
    write_model("slow")
    server = two_workers()

    def all_have_run() -> bool:
        ask(server, "slow", _ROWS)
        return all(tuple(two_cores) in _cores(worker) for worker in workers(server))

    wait_for(all_have_run, "both workers ran it in a thread")


@_WITHOUT_A_POLICY
@pytest.mark.parametrize("two_workers", ["grpcio"], indirect=True)
def test_on_its_core_the_event_loop_is_not_interrupted_by_the_thread_of_grpc(
    two_workers: Start, write_model: WriteModel
) -> None:
    """Threads of gRPC wait for the event loop to sleep; the event loop waits for none of them."""
    write_model("affine")
    server = two_workers()
    for worker in workers(server):
        assert _policies(worker) == {os.SCHED_OTHER, os.SCHED_BATCH}
        assert os.sched_getscheduler(worker.pid) == os.SCHED_OTHER


@_WITHOUT_A_POLICY
@pytest.mark.parametrize("two_workers", ["grpcio"], indirect=True)
def test_on_any_core_threads_of_grpc_interrupt_others(two_workers: Start, write_model: WriteModel) -> None:
    """Where workers are not bound, the event loop runs on another core than the thread of gRPC."""
    write_model("affine")
    server = two_workers("--worker-cores", "any")
    assert {policy for worker in workers(server) for policy in _policies(worker)} == {os.SCHED_OTHER}


@pytest.mark.parametrize("flags", [("--worker-cores", "any"), ("--workers", "3")])
def test_otherwise_workers_run_on_all_cores(
    two_workers: Start, write_model: WriteModel, two_cores: list[int], flags: tuple[str, str]
) -> None:
    """So it is where the settings say so, or where the workers are more than the cores."""
    write_model("affine")
    server = two_workers(*flags)
    assert {cores for worker in workers(server) for cores in _cores(worker)} == {tuple(two_cores)}


def test_a_variable_from_outside_binds_no_thread(
    two_workers: Start, write_model: WriteModel, two_cores: list[int]
) -> None:
    """The variable by which a worker tells its Envoy the cores for long work is ignored where the server starts."""
    write_model("slow")
    server = two_workers("--workers", "1", KAN_SERVE_WORKER_CORES=str(two_cores[0]))
    ask(server, "slow", _ROWS)
    assert {cores for process in server.processes() for cores in _cores(process)} == {tuple(two_cores)}
