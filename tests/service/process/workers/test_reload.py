"""The settings file of a server with two workers: a change reaches all of them, or none."""

import signal
import sys
import threading
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

from open_inference import grpc_predict_v2_pb2 as pb
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import FRONTENDS, KanServe, Start
from tests.kit.server.workers import ask, wait_for_workers, workers
from tests.kit.waiting import wait_for

_ON_ONE_CORE = (
    *(sys.executable, "-c"),
    "import os, service.cli; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); service.cli.run()",
)
_TEXT = "[models.affine]\nmax_batch_rows = 8\n"
_ROWS = np.ones((2, 4), np.float32)
# Connections enough that both workers get some: all on one of them has a chance of 2 in 2^30.
_CALLS = 30


def batch_rows(server: KanServe) -> set[int]:
    """The most rows of a batch, as many connections tell it: one of the workers gets each by chance."""
    return {_one_batch_rows(server) for _ in range(_CALLS)}


def _one_batch_rows(server: KanServe) -> int:
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        config: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelConfig")
        answer = config(pb.ModelConfigRequest(name="affine").SerializeToString(), timeout=60)
        return int(pb.ModelConfigResponse.FromString(answer).config.dynamic_batching.preferred_batch_size[0])


def reloads(server: KanServe, result: str = "taken") -> float:
    """How many reloads ended so."""
    return server.sample("kan_settings_reloads_total", result=result)


def reload(server: KanServe, file: Path, text: str, result: str = "taken") -> str:
    """Write a file, send SIGHUP and wait for the reload. Gives the new lines of the log."""
    before, logged = reloads(server, result), len(server.log.read_text())
    file.write_text(text)
    server.signal(signal.SIGHUP)
    wait_for(lambda: reloads(server, result) > before, f"a reload that is {result}: {server.log.read_text()}")
    assert server.sample("kan_settings_last_reload_successful") == (result == "taken")
    return server.log.read_text()[logged:]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The settings file; batches have 8 rows."""
    path = tmp_path / "kan-serve.toml"
    path.write_text(_TEXT)
    return path


@pytest.fixture
def server(two_workers: Start, write_model: WriteModel, file: Path, foreground: None) -> KanServe:
    """A server with two workers, one model and this file."""
    write_model("affine")
    return two_workers("--config", str(file))


def test_a_change_reaches_all_workers(server: KanServe, file: Path) -> None:
    """At SIGHUP as when the file changes. A worker that starts later has what is in force, also where the file is
    broken by then: that is refused, and told once.
    """
    assert batch_rows(server) == {8}
    log = reload(server, file, "[models.affine]\nmax_batch_rows = 4\n")
    assert "are in force: [models.affine] max_batch_rows from 8 to 4" in log
    assert batch_rows(server) == {4}
    file.write_text("[models.affine]\nmax_batch_rows = 6\n")
    wait_for(lambda: reloads(server) >= 2, "the change")
    assert batch_rows(server) == {6}
    log = reload(server, file, "[models.affine]\nmax_batch_rows = \n", "refused")
    assert log.count("kan-serve.toml:2: it is no TOML") == 1
    for restarts, each in enumerate(workers(server), 1):
        each.kill()
        wait_for_workers(server, 2, restarts=restarts)
    assert batch_rows(server) == {6}
    assert reloads(server, "refused") == 1


def test_what_one_worker_cannot_take_changes_nothing(server: KanServe, file: Path) -> None:
    """One worker may open no more files, so it cannot load the model once more. The other one could."""
    poor = workers(server)[0]
    limits = poor.rlimit(psutil.RLIMIT_NOFILE)
    assert limits is not None
    text = "[models.affine]\nmax_batch_rows = 4\n"
    poor.rlimit(psutil.RLIMIT_NOFILE, (3, limits[1]))
    log = reload(server, file, text, "refused")
    poor.rlimit(psutil.RLIMIT_NOFILE, limits)
    assert log.count("and nothing has changed: ") == 1
    assert "model affine version 1 cannot run with them" in log
    assert batch_rows(server) == {8}
    log = reload(server, file, '[server]\nprovider = "cuda"\n' + text, "refused")
    assert batch_rows(server) == {8}
    reload(server, file, text)
    assert batch_rows(server) == {4}
    assert server.sample("kan_worker_restarts_total") == 0


@pytest.mark.parametrize("end", [psutil.Process.kill, psutil.Process.resume])
def test_a_change_waits_for_a_stopped_worker(
    server: KanServe, file: Path, end: Callable[[psutil.Process], None]
) -> None:
    """The other worker answers as before until the stopped one goes on, or ends. Then all have the new settings."""
    stopped = workers(server)[0]
    stopped.suspend()
    file.write_text("[models.affine]\nmax_batch_rows = 4\n")
    server.signal(signal.SIGHUP)
    threading.Event().wait(1)  # the other worker is ready long before that
    assert (reloads(server), reloads(server, "refused")) == (0, 0)
    assert server.sample("kan_batch_limit_rows", model="affine") == 8
    end(stopped)
    wait_for(lambda: reloads(server) >= 1, "the change")
    wait_for_workers(server, 2, restarts=end is psutil.Process.kill)
    assert batch_rows(server) == {4}


def test_a_worker_that_starts_during_changes_takes_calls_with_the_last_ones(server: KanServe, file: Path) -> None:
    """Two changes come while it starts, one right after the other: the later one is in force in all."""
    workers(server)[0].kill()
    for rows in (4, 5):
        file.write_text(f"[models.affine]\nmax_batch_rows = {rows}\n")
        server.signal(signal.SIGHUP)
    wait_for_workers(server, 2, restarts=1)
    wait_for(lambda: batch_rows(server) == {5}, "the later change")
    assert reloads(server, "refused") == 0


def answers_of(server: KanServe, until: int) -> list[int]:
    """The versions that answer on new connections, until one answers and 20 more calls are made."""
    seen = [ask(server, "affine", _ROWS)]
    while seen[-1] != until:
        seen.append(ask(server, "affine", _ROWS))
    return seen + [ask(server, "affine", _ROWS) for _ in range(20)]


def test_no_caller_sees_a_version_go_back_and_forth(server: KanServe, file: Path, write_model: WriteModel) -> None:
    """To an older version and on to the newest one: each change is seen once, whether all workers still have the older
    version or one of them has started since and must load it.
    """
    seen: list[int] = []
    write_model("affine", version=2)
    seen += answers_of(server, until=2)
    for restarts in (1, 2):
        for policy, until in (("1", 1), ("latest", 2), ("1", 1), ("1+2", 2)):
            file.write_text(f'[models.affine]\nversions = "{policy}"\n')
            server.signal(signal.SIGHUP)
            seen += answers_of(server, until)
        assert [version for version, _ in groupby(seen)][-5:] == [2, 1, 2, 1, 2]
        assert len([*groupby(seen)]) <= 6
        if restarts == 1:  # the worker that starts next has no older version
            reload(server, file, '[models.affine]\nversions = "latest"\n')
        workers(server)[0].kill()
        wait_for_workers(server, 2, restarts=restarts)
        seen = [ask(server, "affine", _ROWS) for _ in range(_CALLS)]
        assert set(seen) == {2}


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_one_core_has_one_process_that_takes_changes(
    kan_serve: Start, write_model: WriteModel, tmp_path: Path, foreground: None, frontend: str
) -> None:
    """`auto` is a number before settings are compared: where that is 1, a change is taken as without workers."""
    write_model("affine")
    file = tmp_path / "kan-serve.toml"
    file.write_text('[server]\nworkers = "auto"\n' + _TEXT)
    server = kan_serve("--config", str(file), "--frontend", frontend, program=_ON_ONE_CORE)
    assert "kan_workers" not in server.get("/metrics")[1]
    file.write_text('[server]\nworkers = "auto"\n')
    server.signal(signal.SIGHUP)
    wait_for(lambda: server.sample("kan_settings_reloads_total", result="taken") >= 1, "the change")
    assert server.sample("kan_batch_limit_rows", model="affine") == 512


def test_a_large_file_reaches_every_worker(two_workers: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """Tables of 60 KB of names with other letters fit into what a worker is started with."""
    write_model("affine")
    file = tmp_path / "kan-serve.toml"
    tables = "".join(f'[models."{"é" * 100}{number}"]\npriority = 1\n' for number in range(250))
    file.write_text(tables + _TEXT, encoding="utf-8")
    server = two_workers("--config", str(file))
    assert server.sample("kan_batch_limit_rows", model="affine") == 8


def test_a_hangup_ends_no_worker(two_workers: Start, write_model: WriteModel, foreground: None) -> None:
    """SIGHUP is for the parent: a worker that gets it too goes on."""
    write_model("affine")
    server = two_workers()
    for each in psutil.Process(server.process.pid).children():
        each.send_signal(signal.SIGHUP)
    code, log = server.stop()  # a worker reads this signal after the other one
    assert (code, "SIGHUP" in log, "it is started again" in log) == (0, False, False)
