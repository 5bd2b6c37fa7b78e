"""The settings file of a server with two workers: a change needs a restart, and no worker takes it before."""

import signal
from pathlib import Path

import psutil

from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Start
from tests.kit.server.workers import wait_for_workers, workers
from tests.kit.waiting import wait_for

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


def test_a_hangup_ends_no_worker(two_workers: Start, write_model: WriteModel, foreground: None) -> None:
    """SIGHUP is for the parent: a worker that gets it too goes on."""
    write_model("affine")
    server = two_workers()
    for each in psutil.Process(server.process.pid).children():
        each.send_signal(signal.SIGHUP)
    code, log = server.stop()  # a worker reads this signal after the other one
    assert (code, "SIGHUP" in log, "it is started again" in log) == (0, False, False)
