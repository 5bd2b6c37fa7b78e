"""Programs that are not ours, run beside the server: Prometheus, Alertmanager, Envoy, kubectl."""

import os
import random
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.waiting import wait_for

# Below those that Linux gives to connections and to servers that ask for any port (ip_local_port_range).
_PORTS = range(20_000, 32_000)
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
    """Ports that nobody listens on, kept from all other tests as long as this process lives."""
    found: list[int] = []
    while len(found) < count:
        port = random.choice(_PORTS)
        if _reserve(port):
            found.append(port)
    return found


def _reserve(port: int) -> bool:
    """Reserve a port, unless somebody listens on it or another test has it."""
    with socket.socket(socket.AF_UNIX) as lock:
        try:
            lock.bind(f"\0kan-serving tests {port}")  # of Linux: it belongs to the network, and ends with this process
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            return False
        lock.detach()
    return True


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
            process.wait(60)
