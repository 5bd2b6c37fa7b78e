"""Loads and unloads that callers ask one of two workers for: both do them before the answer."""

import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from open_inference import grpc_predict_v2_pb2 as pb
from tests.kit.models.repository import WriteModel, cut_short
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.server.workers import ask, wait_for_workers, workers
from tests.kit.waiting import wait_for

_ROWS = np.ones((2, 4), np.float32)
# Connections enough that both workers get some: all on one of them has a chance of 2 in 2^30.
_CALLS = 30
_REQUESTS: Mapping[str, Any] = {"Load": pb.RepositoryModelLoadRequest, "Unload": pb.RepositoryModelUnloadRequest}


@pytest.fixture
def server(two_workers: Start, write_model: WriteModel) -> KanServe:
    """A server with two workers and two models, whose callers may load."""
    write_model("affine")
    write_model("affine", name="other")
    return two_workers("--allow-load")


def order(server: KanServe, what: str, model: str = "affine", seconds: float = 60) -> tuple[str, str]:
    """Load or unload a model on a new connection. Gives the code and the message."""
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        call: Any = channel.unary_unary(f"/inference.GRPCInferenceService/RepositoryModel{what}")
        try:
            call(_REQUESTS[what](model_name=model).SerializeToString(), timeout=seconds)
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""
    return "OK", ""


def answers(server: KanServe, model: str = "affine") -> set[int | str]:
    """The versions that answer on many connections, or the codes of failures."""
    return {_answer(server, model) for _ in range(_CALLS)}


def _answer(server: KanServe, model: str) -> int | str:
    try:
        return ask(server, model, _ROWS)
    except grpc.RpcError as error:
        return str(error.code().name)


def test_all_workers_do_it_before_the_answer(server: KanServe, write_model: WriteModel, models: Path) -> None:
    """Whichever worker is asked. The other model answers, scans load nothing, and a load finds the newest version.

    After a rollback that is the version before.
    """
    for version in (1, 2, 2):
        assert order(server, "Unload") == ("OK", "")
        assert answers(server) == {"NOT_FOUND"}
        assert answers(server, "other") == {1}
        assert order(server, "Unload")[0] == "NOT_FOUND"
        if version == 1:
            write_model("affine", version=2)
        assert order(server, "Load") == ("OK", "")
        assert answers(server) == {2}
    (models / "affine" / "2").rename(models / "affine" / ".withdrawn-2")
    assert order(server, "Load") == ("OK", "")
    assert answers(server) == {1}
    assert server.sample("kan_worker_restarts_total") == 0


def test_errors_are_those_of_one_worker(server: KanServe, write_model: WriteModel) -> None:
    """An unknown model, a name that no folder has and that is long, and a version that is broken."""
    for model in ("absent", "x" * 1_000_000, "no/name"):
        assert order(server, "Load", model)[0] == order(server, "Unload", model)[0] == "NOT_FOUND"
    write_model("affine", name="broken", spoil=cut_short)
    code, message = order(server, "Load", "broken")
    assert (code, "model 'broken' version 1 does not answer: it was refused: " in message) == ("UNAVAILABLE", True)
    assert answers(server) == {1}


def test_a_worker_that_starts_knows_what_is_unloaded(server: KanServe) -> None:
    """After every worker was replaced it is still unloaded, and a load reaches them all."""
    assert order(server, "Unload") == ("OK", "")
    for restarts, each in enumerate(workers(server), 1):
        each.kill()
        wait_for_workers(server, 2, restarts=restarts)
    assert answers(server) == {"NOT_FOUND"}
    assert order(server, "Load") == ("OK", "")
    workers(server)[0].kill()
    wait_for_workers(server, 2, restarts=3)
    assert answers(server) == {1}


def test_a_stopped_worker_is_waited_for_until_the_deadline(server: KanServe) -> None:
    """The caller gets DEADLINE_EXCEEDED, and every worker does it nevertheless once the stopped one has ended."""
    # A worker that has unloaded the model knows it no longer.
    orders: list[tuple[str, set[str], int | str]] = [("Unload", {"NOT_FOUND"}, "NOT_FOUND"), ("Load", set(), 1)]
    for restarts, (what, other_codes, answer) in enumerate(orders, 1):
        stopped = workers(server)[0]
        stopped.suspend()
        with ThreadPoolExecutor(_CALLS) as pool:  # each worker gets some of them
            ended = set(pool.map(partial(_code_in_two_seconds, server), [what] * _CALLS))
        assert {"DEADLINE_EXCEEDED"} <= ended <= {"DEADLINE_EXCEEDED"} | other_codes
        stopped.kill()
        wait_for_workers(server, 2, restarts=restarts)
        wait_for(partial(_all_answer, server, answer), "the order")


def _code_in_two_seconds(server: KanServe, what: str) -> str:
    return order(server, what, seconds=2)[0]


def _all_answer(server: KanServe, wanted: int | str) -> bool:
    return answers(server) == {wanted}


def test_orders_at_once_leave_all_workers_alike(server: KanServe) -> None:
    """Loads and unloads of two models by many callers, one of which kills a worker: at the end all workers agree."""
    with ThreadPoolExecutor(8) as pool:
        words = [("Unload", "affine"), ("Load", "affine"), ("Unload", "other"), ("Load", "other")] * 6
        ended = [pool.submit(order, server, *each) for each in words]
        workers(server)[0].kill()
        codes = {each.result()[0] for each in ended}
    assert codes <= {"OK", "NOT_FOUND", "UNAVAILABLE"}
    wait_for_workers(server, 2, restarts=1)
    for model in ("affine", "other"):
        assert len(answers(server, model)) == 1
        assert order(server, "Load", model) == ("OK", "")
        assert answers(server, model) == {1}


def test_a_change_of_settings_leaves_it_unloaded(
    two_workers: Start, write_model: WriteModel, tmp_path: Path, foreground: None
) -> None:
    """And a load after it has the new settings."""
    write_model("affine")
    file = tmp_path / "kan-serve.toml"
    file.write_text("")
    server = two_workers("--allow-load", "--config", str(file))
    assert order(server, "Unload") == ("OK", "")
    file.write_text("[models.affine]\nmax_batch_rows = 8\n")
    server.signal(signal.SIGHUP)
    wait_for(lambda: server.sample("kan_settings_reloads_total", result="taken") >= 1, "the change")
    assert answers(server) == {"NOT_FOUND"}
    assert order(server, "Load") == ("OK", "")
    assert answers(server) == {1}
    assert server.sample("kan_batch_limit_rows", model="affine") == 8
