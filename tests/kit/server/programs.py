"""Programs that are not ours, run beside the server: Prometheus, Alertmanager, Envoy, kubectl."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.kit.waiting import wait_for

# The first line of a program's log that holds these words.
LineWith = Callable[[str], str]


def find_program(name: str) -> str:
    """Where a program is; without it the test is skipped, but not in CI, which has all."""
    found = shutil.which(name)
    if found is None:
        assert "CI" not in os.environ, f"{name} is not installed; .ci/run installs it"
        pytest.skip(f"{name} is not installed: apt-get install prometheus prometheus-alertmanager kubernetes-client")
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in sockets]


@contextmanager
def running(*command: str | Path, log: Path) -> Iterator[LineWith]:
    """A program, ended when the block is; gives what finds the first line of its log that holds some words."""
    with log.open("w") as stream, subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT) as process:

        def line_with(words: str) -> str:
            def look() -> str:
                assert process.poll() is None, f"{command[0]} ended:\n{log.read_text()[-2000:]}"
                lines = log.read_text().splitlines(keepends=True)
                return next((line for line in lines if words in line and line.endswith("\n")), "")

            return wait_for(look, f"{words!r} in {log}")

        try:
            yield line_with
        finally:
            process.terminate()
            process.wait(30)
