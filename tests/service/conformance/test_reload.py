"""The settings file is read again while the server runs: taken as a whole, or refused as a whole."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from service.client import Client
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.waiting import wait_for

_ROWS = np.ones((3, 4), np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The settings file; empty at first."""
    path = tmp_path / "kan-serve.toml"
    path.write_text("")
    return path


def _reloads(server: KanServe, result: str) -> float:
    return server.sample("kan_settings_reloads_total", result=result)


def _reload(server: KanServe, file: Path, text: str, result: str) -> str:
    """Write a file, send SIGHUP and wait for the reload. Gives the new lines of the log."""
    before, logged = _reloads(server, result), len(server.log.read_text())
    file.write_text(text)
    server.signal(signal.SIGHUP)
    wait_for(lambda: _reloads(server, result) > before, f"a reload that is {result}: {server.log.read_text()}")
    assert server.sample("kan_settings_last_reload_successful") == (result == "taken")
    return server.log.read_text()[logged:]


@contextmanager
def _asking(server: KanServe, *models: str) -> Iterator[None]:
    """Predict all the time in another thread, until the block ends; no call may fail."""
    over, failures = threading.Event(), []

    def ask() -> None:
        try:
            with Client(server.grpc) as client:
                while not over.is_set():
                    for model in models:
                        client.predict(model, _ROWS)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert failures == []


def test_models_take_new_settings_while_they_answer(start: Start, write_model: WriteModel, file: Path) -> None:
    """Batch rows, queue rows, quota and priority change without a lost call, and for the named model alone."""
    for name in ("affine", "other"):
        write_model("affine", name=name)
    server = start("--config", str(file))
    with _asking(server, "affine", "other"):
        text = "[models.affine]\nmax_batch_rows = 8\nmax_queue_rows = 100\npriority = 2\n"
        log = _reload(server, file, text, "taken")
        assert "[models.affine] max_batch_rows from none to 8" in log
        assert server.sample("kan_batch_limit_rows", model="affine") == 8
        assert server.sample("kan_queue_limit_rows", model="affine") == 100
        assert server.sample("kan_batch_limit_rows", model="other") == 512
        assert server.sample("kan_model_ready", model="affine") == 1
        _reload(server, file, "[server]\nmax_batch_rows = 16\n", "taken")
        assert server.sample("kan_batch_limit_rows", model="affine") == 16
        assert server.sample("kan_batch_limit_rows", model="other") == 16
        assert "no changes" in _reload(server, file, "# nothing else\n[server]\nmax_batch_rows = 16\n", "taken")
    assert server.stop()[0] == 0


_REFUSED = {
    "no TOML": ("[server", "it is no TOML"),
    "an unknown key": ("[server]\nmax_batch_row = 3\n", "did you mean max_batch_rows?"),
    "out of range": ("[models.affine]\nmax_batch_rows = 0\n", "wanted at least 1"),
    "needs a restart": (
        "[server]\nmax_batch_rows = 3\nmax_calls = 5\n",
        "max_calls from 1024 to 5: that needs a restart",
    ),
    "do not fit": ("[server]\nmax_queue_rows = 9\n", "max_request_rows is 4096"),
    "no ground": ('[models.affine]\nmax_batch_rows = 3\nunknown_ground = "refuse"\n', "features without a histogram"),
}


def test_a_file_is_refused_as_a_whole(start: Start, write_model: WriteModel, file: Path) -> None:
    """Nothing of it is taken, one line of the log says why, models answer, and the next good file is taken."""
    write_model("affine")
    server = start("--config", str(file))
    with _asking(server, "affine"):
        for case, (text, told) in _REFUSED.items():
            assert server.sample("kan_batch_limit_rows", model="affine") == 512
            (line,) = [each for each in _reload(server, file, text, "refused").splitlines() if "settings" in each]
            assert told in line, case
            assert "refused, and nothing has changed" in line, case
            assert server.sample("kan_batch_limit_rows", model="affine") == 512, case
            assert server.is_ready(), case
            _reload(server, file, "[models.affine]\nmax_batch_rows = 3\n", "taken")
            assert server.sample("kan_batch_limit_rows", model="affine") == 3, case
            _reload(server, file, "", "taken")
    code, log = server.stop()
    assert (code, "Traceback" in log) == (0, False)


def _no_cuda() -> bool:
    import onnxruntime

    return "CUDAExecutionProvider" not in onnxruntime.get_available_providers()


@pytest.mark.skipif("not _no_cuda()")
def test_a_provider_that_is_absent_takes_no_model_down(start: Start, write_model: WriteModel, file: Path) -> None:
    """The file is valid and CUDA is not there: the model that answers goes on, and so does the other one."""
    for name in ("affine", "other"):
        write_model("affine", name=name)
    server = start("--config", str(file), "--poll-seconds", "0.05")
    text = '[models.affine]\nprovider = "cuda"\n[models.other]\nmax_batch_rows = 1\n'
    with _asking(server, "affine", "other"):
        assert "provider 'cuda' is absent" in _reload(server, file, text, "refused")
        assert server.sample("kan_batch_limit_rows", model="other") == 512
        assert server.is_ready()
    assert server.stop()[0] == 0


def test_files_that_are_gone_take_no_model_down(start: Start, write_model: WriteModel, file: Path) -> None:
    """A model that would have to be loaded again has no files any more: it answers as before."""
    folder = write_model("affine")
    server = start("--config", str(file), "--poll-seconds", "0")
    (folder / "model.onnx").unlink()
    with _asking(server, "affine"):
        log = _reload(server, file, "[models.affine]\nmax_batch_rows = 3\n", "refused")
        assert "model affine version 1 cannot run with them" in log
        _reload(server, file, "[models.affine]\npriority = 3\nquota_rows_per_second = 1e6\n", "taken")
    assert server.stop()[0] == 0


def test_versions_change(start: Start, write_model: WriteModel, file: Path) -> None:
    """A table pins a version, and without it the newest one answers again."""
    for version in (1, 2):
        write_model("affine", version)
    server = start("--config", str(file))
    with Client(server.grpc) as client:
        for text, version in (('[models.affine]\nversions = "1"\n', 1), ("", 2), ('[server]\nversions = "all"\n', 2)):
            _reload(server, file, text, "taken")
            wait_for(lambda version=version: client.predict("affine", _ROWS).version == version)  # type: ignore[misc]
        assert client.predict("affine", _ROWS, version=1).version == 1
    assert server.stop()[0] == 0


def _written_whole(file: Path, text: str) -> None:
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.rename(file)


def _by_link(file: Path, text: str) -> None:
    """As Kubernetes changes a mounted ConfigMap: a link to another file takes the place of the first one."""
    target, link = file.with_suffix(f".{len(text)}"), file.with_suffix(".link")
    target.write_text(text)
    os.symlink(target, link)
    link.rename(file)


def test_a_change_is_noticed(start: Start, write_model: WriteModel, file: Path) -> None:
    """Without a signal, however the file is written; one that is gone is refused once, and is taken when it is back."""
    write_model("affine")
    server = start("--config", str(file))

    def change(write: Callable[[Path, str], object], times: int) -> None:
        logged = len(server.log.read_text())
        write(file, "[models.affine]\nmax_batch_rows = 3\n")
        wait_for(lambda: server.sample("kan_batch_limit_rows", model="affine") == 3)
        file.unlink()
        wait_for(lambda: _reloads(server, "refused") == times)
        assert "No such file" in server.log.read_text()[logged:]
        write(file, "[models.affine]\nmax_batch_rows = 3\n")
        wait_for(lambda: server.sample("kan_settings_last_reload_successful") == 1)
        write(file, "[models.affine]\nmax_batch_rows = 44\n[models.nobody]\n")
        wait_for(lambda: server.sample("kan_batch_limit_rows", model="affine") == 44)
        wait_for(lambda: _reloads(server, "taken") >= 3 * times)  # counted once all models have it
        assert (_reloads(server, "refused"), _reloads(server, "taken")) == (times, 3 * times)
        (warning,) = [line for line in server.log.read_text()[logged:].splitlines() if "WARNING" in line]
        assert "[models.nobody]" in warning

    writes: tuple[Callable[[Path, str], object], ...] = (Path.write_text, _written_whole, _by_link)
    for times, write in enumerate(writes, 1):
        change(write, times)
    assert server.stop()[0] == 0


def test_many_hangups_at_once(start: Start, write_model: WriteModel, file: Path) -> None:
    """SIGHUP as often as one likes: the server goes on, and the last file is in force."""
    write_model("affine")
    server = start("--config", str(file))
    with _asking(server, "affine"):
        for rows in range(1, 20):
            file.write_text(f"[models.affine]\nmax_batch_rows = {rows}\n")
            server.signal(signal.SIGHUP)
        wait_for(lambda: server.sample("kan_batch_limit_rows", model="affine") == 19)
    assert server.stop()[0] == 0


def test_a_table_for_each_of_very_many_models(start: Start, write_model: WriteModel, file: Path) -> None:
    """The largest file that is read can be started with, and changed."""
    write_model("affine")
    tables = "".join(f"[models.m{number}]\n" for number in range(4000))
    file.write_text(f"{tables}[models.affine]\nmax_batch_rows = 3\n")
    server = start("--config", str(file))
    assert server.sample("kan_batch_limit_rows", model="affine") == 3
    _reload(server, file, f"{tables}[models.affine]\nmax_batch_rows = 4\n", "taken")
    assert server.sample("kan_batch_limit_rows", model="affine") == 4
    code, log = server.stop()
    assert (code, len(log) < 2**20) == (0, True)


def test_a_stop_during_a_reload(start: Start, write_model: WriteModel, file: Path) -> None:
    """SIGHUP and SIGTERM together: the server stops in order."""
    for number in range(5):
        write_model("affine", name=f"affine{number}")
    server = start("--config", str(file))
    file.write_text("[server]\nmax_batch_rows = 3\n")
    server.signal(signal.SIGHUP)
    code, log = server.stop()
    assert (code, "Traceback" in log) == (0, False)
