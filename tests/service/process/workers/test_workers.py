"""kan-serve with two workers, as its callers and its operator see it."""

import json
import os
import re
import signal
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.kit.callers.load import connected
from tests.kit.callers.protocols import KanApi
from tests.kit.models.graphs import KINDS
from tests.kit.models.repository import WriteModel, cut_short, replace_graph
from tests.kit.server import metrics
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import FRONTENDS, KanServe, Start, run_kan_serve, starter
from tests.kit.server.workers import (
    answered,
    ask,
    has_ended,
    rows_by_worker,
    starts,
    taking_calls,
    wait_for_workers,
    workers,
)
from tests.kit.waiting import wait_for

_ROWS = np.ones((2, 4), np.float32)


def call(server: KanServe, version: int = 0) -> int:
    """The version that answers."""
    return ask(server, "affine", _ROWS, version)


def test_calls_are_counted_once_whichever_worker_answers(two_workers: Start, write_model: WriteModel) -> None:
    """40 connections reach both workers, and the one exposition has 40 requests and 80 rows."""
    write_model("affine")
    server = two_workers()
    assert server.served == "affine/1"
    assert len(workers(server)) == taking_calls(server) == 2
    for _ in range(40):
        call(server)
    assert answered(server, "affine") == server.sample("kan_request_rows_count", model="affine") == 40
    assert server.sample("kan_request_rows_sum", model="affine") == 80
    of_workers = rows_by_worker(server, "affine")
    assert of_workers == {80 - count for count in of_workers}
    assert 0 < min(of_workers) <= max(of_workers) < 80
    assert server.sample("kan_model_ready", model="affine") == server.sample("kan_build_info") == 1
    assert server.sample("kan_queue_limit_rows", model="affine") == 2 * 8192
    # The same metrics as of one process, and three of the workers.
    of_workers_alone = {"kan_workers", "kan_workers_configured", "kan_worker_restarts"}
    assert {family.name for family in metrics.read(server.metrics)} > of_workers_alone
    assert server.sample("kan_workers_configured") == 2
    assert server.get("/livez") == server.get("/readyz") == (200, "ok\n")


@pytest.mark.parametrize(("form", "flags", "warnings"), [("text", [], 1), ("json", ["--insecure-public"], 0)])
def test_log_lines_name_their_worker(
    two_workers: Start, write_model: WriteModel, form: str, flags: list[str], warnings: int
) -> None:
    """Each worker's lines have its number and the process that wrote them; the parent's have neither.

    An address that others can reach is one warning of the parent, not of each worker again.
    """
    write_model("affine")
    server = two_workers("--log-format", form, "--host", "0.0.0.0", *flags)
    serving = {each.pid for each in workers(server)}
    code, log = server.stop()
    assert (code, log.count("others can reach")) == (0, warnings)
    lines = log.splitlines()
    if form == "text":
        loads = [re.search(r"INFO worker (\d) \(pid (\d+)\): model affine version 1 ready", line) for line in lines]
        found = {(int(each[1]), int(each[2])) for each in loads if each}
        assert sum("INFO SIGTERM: stopping" in line for line in lines) == 1
    else:
        records = [json.loads(line) for line in lines]
        found = {(each["worker"], each["pid"]) for each in records if "version 1 ready" in each["message"]}
        assert sum("SIGTERM" in each["message"] and "worker" not in each for each in records) == 1
    assert {number for number, _ in found} == {0, 1}
    assert {pid for _, pid in found} == serving


def test_a_killed_worker_is_replaced_and_what_it_counted_stays(two_workers: Start, write_model: WriteModel) -> None:
    """The port answers without a pause, on the other worker; no count goes back; the server stays ready.

    Envoy shares no memory with a next Envoy, which would be a file that a kill leaves behind.
    """
    write_model("affine")
    server = two_workers()
    maps = [each.path for process in server.processes() for each in process.memory_maps()]
    assert not [path for path in maps if "envoy_shared_memory" in path]
    for _ in range(20):
        call(server)
    first, second = workers(server)
    first.kill()
    first.wait(60)  # until then the kernel may give it connections
    for _ in range(20):
        call(server)
        assert server.is_ready()
    wait_for_workers(server, 2, restarts=1)
    assert answered(server, "affine") == 40
    assert second in workers(server)
    assert first not in workers(server)
    second.kill()
    wait_for_workers(server, 2, restarts=2)
    assert call(server) == 1
    assert answered(server, "affine") == 41


def withdraw(folder: Path) -> None:
    """Withdraw a version as `kan-train rollback` does."""
    folder.rename(folder.with_name(f".withdrawn-{folder.name}"))


def seen_while_going_back(server: KanServe, folder: Path) -> list[int]:
    """The versions that answer on connections to both workers, from the withdrawal of the latest one on."""
    request, latest = KanApi.request("affine", _ROWS), int(folder.name)
    with ExitStack() as stack:
        methods = [stack.enter_context(connected(server.grpc)) for _ in range(16)]
        seen = [KanApi.answer(predict(request, timeout=60))[1] for predict in methods]
        withdraw(folder)
        while seen[-1] == latest:
            seen += [KanApi.answer(predict(request, timeout=60))[1] for predict in methods]
        return seen + [KanApi.answer(predict(request, timeout=60))[1] for predict in methods]


def test_no_caller_sees_a_version_go_back(two_workers: Start, write_model: WriteModel, models: Path) -> None:
    """Callers on new connections get versions that only grow, and a superseded version still answers by number.

    While versions are withdrawn, one after another, callers of both workers get versions that only fall. Version 1 is
    loaded for that. A worker that starts after the first withdrawal takes calls, and looks at times of its own.
    """
    write_model("affine")
    write_model("affine", version=2)
    server = two_workers()
    seen = [call(server)]
    for version in (3, 4):
        write_model("affine", version=version)
        while seen[-1] < version:
            seen.append(call(server))
        seen += [call(server) for _ in range(10)]
    assert seen == sorted(seen)
    assert {call(server, version=3) for _ in range(10)} == {3}
    for version in (4, 3, 2):
        seen = seen_while_going_back(server, models / "affine" / str(version))
        assert seen == sorted(seen, reverse=True)
        assert seen[-1] == version - 1
        if version == 4:
            workers(server)[0].kill()
            wait_for_workers(server, 2, restarts=1)
    assert {call(server) for _ in range(20)} == {1}
    # Two takeovers and three rollbacks in each of two workers.
    wait_for(lambda: server.sample("kan_model_swaps_total", model="affine") == 10, "the swaps")


def test_a_version_that_cannot_be_loaded_is_served_by_no_worker(two_workers: Start, write_model: WriteModel) -> None:
    """Each worker refuses it, the version before goes on, and a worker that starts serves that one too."""
    write_model("affine")
    server = two_workers()
    write_model("affine", version=2, spoil=cut_short)
    wait_for(lambda: server.sample("kan_model_refused_total", version="2") >= 2, "the refusals of both workers")
    workers(server)[0].kill()
    wait_for_workers(server, 2, restarts=1)
    assert {call(server) for _ in range(10)} == {1}
    assert server.is_ready()


def test_a_version_that_one_worker_cannot_load_is_served_by_none(
    two_workers: Start, write_model: WriteModel, gate: Gate
) -> None:
    """While one of two workers still loads it, and once that one has failed, the version before answers alone."""
    write_model("affine")
    server = two_workers()

    def refused(reason: str) -> float:
        return server.sample("kan_model_refused_total", version="2", reason=reason)

    with gate.opening.closed() as opening:
        write_model("affine", version=2)
        opening.let(1)  # in one worker; the other one waits
        assert {call(server) for _ in range(20)} == {1}
        assert server.sample("kan_model_ready", version="2") == 0
        opening.fail()
        wait_for(lambda: refused("graph") >= 1 and refused("worker") >= 1, "the refusals of both workers")
        wait_for(lambda: 'kan_model_ready{model="affine",version="2"} 0.0' in server.get("/metrics")[1], "the gauge")
        assert server.sample("kan_model_ready", version="1") == 1
        assert {call(server) for _ in range(20)} == {1}
        assert server.is_ready()
    assert "another worker refused it: " in server.log.read_text()


def test_a_selected_version_that_is_absent_is_told_once(two_workers: Start, write_model: WriteModel) -> None:
    """All workers find it, and one of them logs it. It counts as refused."""
    write_model("affine")
    server = two_workers("--versions", "affine=1+99")
    assert server.log.read_text().count("version 99, which the settings select, is not in the repository") == 1
    assert server.sample("kan_model_refused_total", version="99", reason="absent") == 2
    assert 'kan_model_ready{model="affine",version="99"} 0.0' in server.get("/metrics")[1]


def test_a_worker_with_other_bytes_takes_no_calls(two_workers: Start, write_model: WriteModel) -> None:
    """A version is replaced under its number. A worker that starts is kept out, and the other serves on.

    After a rollback to the version before both take calls again.
    """
    write_model("affine")
    folder = write_model("affine", version=2)
    server = two_workers()
    graph = KINDS["affine"].graph()
    graph.doc_string = "other bytes"
    replace_graph(folder, graph)
    workers(server)[0].kill()
    wait_for(lambda: "other bytes under this number" in server.log.read_text(), "the refusal")
    wait_for(lambda: "it serves version 1 of model affine, and others version 2" in server.log.read_text(), "the wait")
    assert {call(server) for _ in range(10)} == {2}
    assert taking_calls(server) == 1
    assert server.is_ready()
    # The worker that is kept out has refused version 2 and has loaded version 1, which nobody can ask for.
    assert server.sample("kan_model_ready", version="2") == 1
    assert server.sample("kan_model_ready", version="1") == 0
    withdraw(folder)
    wait_for_workers(server, 2, restarts=1)
    assert {call(server) for _ in range(20)} == {1}


def test_a_stop_drains_all_workers_and_leaves_nothing(two_workers: Start, write_model: WriteModel) -> None:
    """Exit code 0, no process, no file of the counts, no traceback."""
    write_model("affine")
    server = two_workers()
    call(server)
    processes = workers(server)
    folder = Path(json.loads(processes[0].environ()["KAN_SERVE_WORKER"])["folder"]).parent
    assert folder.is_dir()
    code, log = server.stop()
    assert code == 0, log
    assert "Traceback" not in log
    assert all(map(has_ended, processes))
    assert not folder.exists()


def test_workers_end_with_a_parent_that_is_killed(two_workers: Start, write_model: WriteModel) -> None:
    """Otherwise they would hold the port, and nobody would watch them. They end at once, and the log tells no drain."""
    write_model("affine")
    server = two_workers()
    processes = workers(server)
    os.kill(server.process.pid, signal.SIGKILL)
    wait_for(lambda: all(map(has_ended, processes)), "the end of the workers")
    log = server.log.read_text()
    assert "kan-serve has gone: stopping at once" in log
    assert "draining for" not in log
    assert "stopping within" not in log
    port = server.grpc.rpartition(":")[2]
    assert two_workers("--grpc-port", port).grpc == server.grpc


def test_a_second_server_fails_with_port_in_use(two_workers: Start, write_model: WriteModel, models: Path) -> None:
    """Whether it has one worker or several, and whichever its front end is."""
    write_model("affine")
    port = two_workers().grpc.rpartition(":")[2]
    for frontend, workers_ in product(FRONTENDS, ["1", "2"]):
        flags = ("--frontend", frontend, "--workers", workers_)
        ended = run_kan_serve(models, *flags, "--grpc-port", port)
        assert ended.returncode == 1
        assert f":{port}: Address already in use" in ended.stderr


@pytest.mark.parametrize(
    ("frontend", "flags", "message"),
    [
        ("grpcio", [], "model repository"),
        ("grpcio", ["--tls-cert", "absent", "--tls-key", "absent"], "certificates: 'absent' cannot be read"),
        ("envoy", [], "model repository"),
        ("envoy", ["--tls-cert", "absent", "--tls-key", "absent"], "certificates: 'absent' cannot be read"),
    ],
)
def test_a_server_that_cannot_start_says_why(tmp_path: Path, frontend: str, flags: list[str], message: str) -> None:
    """As with one worker: exit code 1, and the reason in one line. That the other worker is killed then is no news."""
    ended = run_kan_serve(tmp_path / "absent", "--workers", "2", "--frontend", frontend, *flags)
    assert ended.returncode == 1
    assert [line.startswith(f"kan-serve: {message}") for line in ended.stderr.splitlines()] == [True], ended.stderr


def test_one_worker_is_one_process(models: Path, tmp_path: Path, write_model: WriteModel) -> None:
    """Without the setting nothing is as with workers: no child, no metric of workers."""
    write_model("affine")
    with starter(models, tmp_path) as start:
        server = start()
        assert starts(server) == []
        assert not any(family.name.startswith("kan_worker") for family in metrics.read(server.metrics))


def test_the_log_says_the_signal_that_killed_a_worker(two_workers: Start, write_model: WriteModel) -> None:
    """With Envoy too, where the worker is the Envoy with the server inside it."""
    write_model("affine")
    server = two_workers()
    workers(server)[0].kill()

    def told() -> list[str]:
        return re.findall(r"worker \d+.* was ended by signal 9 after .* s; it is started again", server.log.read_text())

    wait_for(lambda: len(told()) == 1, "the line of the log")
    wait_for_workers(server, 2, restarts=1)
