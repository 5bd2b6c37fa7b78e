"""The settings file of a server with two workers: a change needs a restart, and no worker takes it before."""

import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import FRONTENDS, Start
from tests.kit.server.workers import wait_for_workers, workers
from tests.kit.waiting import wait_for

_ON_ONE_CORE = (
    *(sys.executable, "-c"),
    "import os, service.cli; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); service.cli.run()",
)
_TEXT = "[models.affine]\nmax_batch_rows = 8\n"


def test_a_change_is_refused_and_no_worker_takes_it(
    two_workers: Start, write_model: WriteModel, tmp_path: Path, foreground: None
) -> None:
    """The log and the metrics say so; a worker that starts later has the settings of the others; the file as it was is
    in force again.
    """
    write_model("affine")
    file = tmp_path / "kan-serve.toml"
    file.write_text(_TEXT)
    server = two_workers("--config", str(file))
    assert server.sample("kan_batch_limit_rows", model="affine") == 8
    file.write_text("[models.affine]\nmax_batch_rows = 16\n")
    server.signal(signal.SIGHUP)
    wait_for(lambda: server.sample("kan_settings_reloads_total", result="refused") == 1, "the refusal")
    assert server.sample("kan_settings_last_reload_successful") == 0
    refusal = "[models.affine] max_batch_rows from 8 to 16: with several workers that needs a restart"
    assert refusal in server.log.read_text()
    workers(server)[0].kill()
    wait_for_workers(server, 2, restarts=1)
    assert server.sample("kan_batch_limit_rows", model="affine") == 8  # the larger one of both workers
    file.write_text(_TEXT)
    server.signal(signal.SIGHUP)
    wait_for(lambda: server.sample("kan_settings_last_reload_successful") == 1, "the file as it was")
    assert server.sample("kan_settings_reloads_total", result="taken") >= 1


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
    wait_for(lambda: server.sample("kan_settings_reloads_total", result="taken") == 1, "the change")
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
