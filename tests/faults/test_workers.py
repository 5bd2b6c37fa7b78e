"""Workers that are killed, stopped, or end again and again, and parents that are killed, under load."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.kit.callers.load import connected
from tests.kit.callers.protocols import KanApi
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.server.kills import CALLERS, calling, kill_workers
from tests.kit.server.workers import (
    counts_folder,
    has_ended,
    kill_worker,
    starts,
    wait_for_workers,
    workers,
)
from tests.kit.waiting import seconds_until, wait_for

pytestmark = pytest.mark.faults

_ROWS = np.array([[0, 1, 2, 0.5], [1, 2, 0, 1.5]], np.float32)
# Of callers of tests that mostly wait: without it they would keep the processors busy all the while.
_PAUSE_SECONDS = 0.05


@pytest.fixture
def server(kan_serve: Start, publish_version: Callable[..., Path]) -> KanServe:
    """A kan-serve with two workers and one model."""
    publish_version("kan")
    return kan_serve("--workers", "2", "--poll-seconds", "0.2")


@pytest.mark.timeout(300)
def test_killed_workers_fail_no_call_of_our_client(server: KanServe) -> None:
    """Six kills under load: 0 failed calls, the server stays ready, and each answer is counted exactly once.

    The server counts a call when it is computed. So each kill may leave the calls in flight counted and unanswered.
    """
    kills = 6
    found = kill_workers(server, "kan", _ROWS, kills)
    assert found.failures == []
    assert found.counts_lost == 0
    assert found.answered <= found.counted <= found.answered + kills * CALLERS


@pytest.mark.timeout(300)
def test_a_killed_worker_is_started_again_within_a_second(
    kan_serve: Start, publish_version: Callable[..., Path]
) -> None:
    """The next process exists within a second, and takes calls within one start-up of a server.

    In most of up to five tries, each compared with the start before it: the machine may have more to do than then.
    """
    publish_version("kan")
    shares: list[float] = []
    while max(held := sum(share < 1 for share in shares), len(shares) - held) < 3:
        begun = time.monotonic()
        server = kan_serve("--workers", "2")
        start_up_seconds = time.monotonic() - begun
        shares.append(_replace_worker(server) / start_up_seconds)
        server.stop()
    assert held == 3, shares


def _replace_worker(server: KanServe) -> float:
    """Kill a worker of two. Gives the seconds until both take calls again, those of the last look included."""
    before, killed = starts(server), workers(server)[0]
    begun = time.monotonic()
    killed.kill()
    assert seconds_until(lambda: any(each not in before for each in starts(server)), "the next worker") < 1.0
    # Not by `seconds_until`: /metrics may take as long as the start of the worker, and counts nothing there.
    wait_for_workers(server, 2, restarts=1)
    return time.monotonic() - begun


@pytest.mark.timeout(300)
def test_a_stopped_worker_is_out_within_10_seconds(server: KanServe) -> None:
    """Its callers wait for so long and are then answered by the other one: 0 failed calls.

    The parent says how long it was silent.
    """
    with calling(server, "kan", _ROWS, pause_seconds=_PAUSE_SECONDS) as calls:
        calls.more()
        stopped = workers(server)[0]
        stopped.suspend()
        wait_for(lambda: has_ended(stopped), "the end of the stopped worker")
        wait_for_workers(server, 2, restarts=1)
        calls.more()
    assert calls.failures == []
    silence = re.search(r"has said nothing for (\S+) s; it is killed", server.log.read_text())
    assert silence is not None
    assert float(silence[1]) < 10.0


@pytest.mark.timeout(300)
def test_workers_end_within_2_seconds_after_their_parent(server: KanServe) -> None:
    """The parent is killed while clients call: its workers end too, and leave no file of their counts."""
    processes = server.processes()
    folder = counts_folder(server)
    with calling(server, "kan", _ROWS, timeout_seconds=5) as calls:
        calls.more()
        assert any(folder.iterdir())
        os.kill(server.process.pid, signal.SIGKILL)
        assert seconds_until(lambda: all(map(has_ended, processes)), "the end of the workers") < 2.0
    assert not folder.exists()


@pytest.mark.timeout(300)
def test_a_pause_of_all_processes_ends_no_worker(server: KanServe) -> None:
    """As of a paused container: the silence of the workers was the parent's too."""
    processes = server.processes()
    for process in processes:
        process.suspend()
    threading.Event().wait(10)  # longer than a worker may be silent
    for process in processes:  # the parent first: it looks after its workers at once
        process.resume()
    assert server.sample("kan_worker_restarts_total") == 0
    with calling(server, "kan", _ROWS) as calls:
        calls.more()
    assert calls.failures == []
    assert server.sample("kan_worker_restarts_total") == 0


@pytest.mark.timeout(300)
def test_workers_that_end_again_and_again_take_readiness_away(server: KanServe) -> None:
    """The pauses grow, the other worker answers, and the server is ready again when a worker has stayed for 10 s.

    gRPC health checks, which the workers answer, agree with /readyz, which their parent answers.
    """
    steady = workers(server)[1]
    with calling(server, "kan", _ROWS, pause_seconds=_PAUSE_SECONDS) as calls:
        for _ in range(4):
            young = wait_for(lambda: [each for each in workers(server) if each != steady], "a worker to kill")
            kill_worker(server, young[0])
        wait_for(lambda: re.search(r"worker \d ended [34] times soon after its start", server.get("/readyz")[1]), "503")
        assert server.get("/readyz")[0] == 503
        wait_for(lambda: _health(server) == {"NOT_SERVING"}, "health checks that say so")
        calls.more()
        assert server.get("/livez") == (200, "ok\n")
        wait_for(server.is_ready, "readiness")
        wait_for(lambda: _health(server) == {"SERVING"}, "health checks that say so")
    assert calls.failures == []
    log = server.log.read_text()
    assert all(f"started again in {pause:g} s" in log for pause in (0.5, 1))


def _health(server: KanServe) -> set[str]:
    """What the workers say of the server over twelve connections, or the status of a call that reached none."""
    found = set()
    for _ in range(12):
        with grpc.insecure_channel(server.grpc) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            try:
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=30)
            except grpc.RpcError as error:
                found.add(str(error.code().name))
            else:
                found.add(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
    return found


@pytest.mark.timeout(300)
def test_no_caller_of_both_workers_sees_a_version_go_back(
    server: KanServe, publish_version: Callable[..., Path], graphs: Any
) -> None:
    """Ten versions under load, and then five that are withdrawn; each caller takes one connection after the other, and
    sees each change once. Kills happen meanwhile, also before both workers have noticed a withdrawal.
    """
    expected = graphs.answer("kan", _ROWS)
    over = threading.Event()
    seen: list[list[int]] = [[1] for _ in range(4)]

    def call(caller: int) -> None:
        with ExitStack() as stack:
            methods = [stack.enter_context(connected(server.grpc)) for _ in range(6)]
            while not over.is_set():
                for predict in methods:
                    try:
                        answer = predict(KanApi.request("kan", _ROWS), timeout=30)
                    except grpc.RpcError as error:
                        if error.code() is grpc.StatusCode.UNAVAILABLE:  # of the killed worker
                            continue
                        raise
                    _, got, values = KanApi.answer(answer)
                    np.testing.assert_allclose(values, expected + got, atol=1e-4)
                    if seen[caller][-1] != got:
                        seen[caller].append(got)

    def reached(change: int) -> bool:
        return min(map(len, seen)) > change or any(each.done() for each in callers)

    changes = [*range(2, 12), *range(10, 5, -1)]
    folders: dict[int, Path] = {}
    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(call, caller) for caller in range(4)]
        try:
            for number, version in enumerate(changes, 1):
                if version in folders:
                    withdrawn = folders[version + 1]
                    withdrawn.rename(withdrawn.with_name(f".withdrawn-{version + 1}"))
                else:
                    folders[version] = publish_version("kan")
                if number % 4 == 0:
                    workers(server)[0].kill()
                wait_for(partial(reached, number), "the version")
        finally:
            over.set()
        for each in callers:
            each.result()
    assert seen == [[1, *changes]] * 4


@pytest.mark.timeout(300)
def test_no_caller_of_both_workers_sees_a_change_of_the_policy_go_back_and_forth(
    kan_serve: Start, publish_version: Callable[..., Path], tmp_path: Path
) -> None:
    """Ten changes between two versions under load. Each caller, on one connection after the other, sees each change
    once. Some workers are killed meanwhile, so that versions are loaded again.
    """
    file = tmp_path / "kan-serve.toml"
    publish_version("kan")
    publish_version("kan")
    file.write_text('[models.kan]\nversions = "2"\n')
    server = kan_serve("--workers", "2", "--config", str(file))
    over = threading.Event()
    seen: list[list[int]] = [[2] for _ in range(4)]

    def call(caller: int) -> None:
        with ExitStack() as stack:
            methods = [stack.enter_context(connected(server.grpc)) for _ in range(6)]
            while not over.is_set():
                for predict in methods:
                    try:
                        _, version, _ = KanApi.answer(predict(KanApi.request("kan", _ROWS), timeout=30))
                    except grpc.RpcError as error:
                        if error.code() is grpc.StatusCode.UNAVAILABLE:  # of the killed worker
                            continue
                        raise
                    if seen[caller][-1] != version:
                        seen[caller].append(version)

    def reached(change: int) -> bool:
        return min(map(len, seen)) > change or any(each.done() for each in callers)

    changes = [1, 2] * 5
    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(call, caller) for caller in range(4)]
        try:
            for number, version in enumerate(changes, 1):
                if number % 4 == 0:
                    # A change that every worker that takes calls has died of is refused.
                    wait_for_workers(server, 2, restarts=number // 4 - 1)
                    workers(server)[0].kill()
                file.write_text(f'[models.kan]\nversions = "{version}"\n')
                server.signal(signal.SIGHUP)
                wait_for(partial(reached, number), "the change")
        finally:
            over.set()
        for each in callers:
            each.result()
    assert seen == [[2, *changes]] * 4
