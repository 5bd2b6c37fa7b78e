"""Standard output and error that are closed, full or unread: the server serves, and ends as always."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import get
from tests.kit.server.programs import free_ports
from tests.kit.waiting import wait_for

_CLOSED = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-"}
_FULL = {"stdout": ">/dev/full", "stderr": "2>/dev/full"}

Launch = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def http() -> str:
    """An address for the HTTP port; the line that would tell it may be lost here."""
    return f"127.0.0.1:{free_ports(1)[0]}"


@pytest.fixture
def launch(models: Path, frontend: str, http: str) -> Iterator[Launch]:
    """Starts kan-serve with a shell's redirections, and waits until it is ready."""
    started: list[subprocess.Popen[bytes]] = []

    def start(redirections: str) -> "subprocess.Popen[bytes]":
        flags = ["--models", str(models), "--frontend", frontend, "--grpc-port", "0", "--http-port", http.split(":")[1]]
        command = [sys.executable, "-m", "service.cli", *flags]
        started.append(
            subprocess.Popen(
                ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", *command],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        wait_for(lambda: _is_ready(started[-1], http))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _is_ready(process: "subprocess.Popen[bytes]", http: str) -> bool:
    assert process.poll() is None, f"ended with {process.returncode}"
    try:
        return get(http, "/readyz")[0] == 200
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize(
    "redirections",
    [*_CLOSED.values(), " ".join(_CLOSED.values()), *_FULL.values(), " ".join(_FULL.values())],
)
def test_streams_that_take_nothing(launch: Launch, write_model: WriteModel, redirections: str) -> None:
    """Closed or full: the server answers, and SIGTERM ends it with 0."""
    write_model("affine")
    process = launch(redirections)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=90)
    assert process.returncode == 0, log
    assert b"Traceback" not in log


def test_a_reader_that_goes(launch: Launch, write_model: WriteModel) -> None:
    """Of the log and of the line that says ready: both are written to a pipe that is broken."""
    write_model("affine")
    reader, writer = os.pipe()
    os.close(reader)
    os.set_inheritable(writer, True)
    write_model("affine", 2)
    try:
        process = launch(f">/proc/{os.getpid()}/fd/{writer} 2>&1")
    finally:
        os.close(writer)
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0
