"""deploy/compose.yaml by a real engine, and callers from the host."""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import grpc
import pytest

from kan_api.v1 import prediction_pb2 as pb

ROOT = Path(__file__).parents[3]
FILES = ("-f", str(ROOT / "deploy/compose.yaml"), "-f", str(ROOT / "tests/deploy/compose.ci.yaml"))
ADDRESS = "127.0.0.1:8001"
CALLERS = 4
DOCUMENTED = "docker compose -f deploy/compose.yaml"
_PREDICT = "/kan_api.v1.PredictionService/Predict"


class Engine(Protocol):
    """What the fixture of conftest.py gives."""

    environment: dict[str, str]

    def docker(self, *arguments: str, timeout: float = 120, check: bool = True) -> str: ...


@dataclass(frozen=True)
class Stack:
    """All services, up and healthy."""

    engine: Engine
    models: Path

    def compose(self, *arguments: str, timeout: float = 300) -> str:
        """Run one command of compose."""
        return self.engine.docker("compose", *FILES, *arguments, timeout=timeout)

    def documented(self, part: str, folder: Path = ROOT) -> str:
        """Run the one command of the docs that holds the part, on these files instead of those of a person.

        Args:
            part: Of the command, beyond its beginning.
            folder: Where the person is.

        Returns:
            Its output and its errors.
        """
        text = "".join((ROOT / "docs" / name).read_text() for name in ("compose.md", "operations.md"))
        commands = {each.strip("` ") for each in re.findall(r"(?m)^    \S.*$|`[^`\n]+`", text) if part in each}
        # The runbooks' word for it.
        (command,) = {re.sub("^compose ", f"{DOCUMENTED} ", each) for each in commands}
        for verb in (" exec ", " run "):  # there is no terminal
            command = command.replace(verb, f"{verb}-T ", 1) if command.startswith(DOCUMENTED) else command
        command = command.replace(DOCUMENTED, shlex.join(["/usr/bin/docker", "compose", *FILES]))
        command = command.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
        done = subprocess.run(
            ["bash", "-c", command],
            env=self.engine.environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-4000:]}"
        return done.stdout

    def versions(self) -> list[str]:
        """The latest version of digits that each replica has."""
        command = ("exec", "-T", "--index", "{}", "kan-serve", "kan-client", "models")
        answers = [self.compose(*(word.format(index) for word in command)) for index in (1, 2)]
        return [found for each in answers for found in re.findall(r"digits +(\d+) +\w+ +yes", each)]

    def containers(self, service: str) -> list[str]:
        """Their ids."""
        return self.compose("ps", "--all", "--quiet", service).split()

    def inspect(self, container: str) -> dict[str, Any]:
        """All that the engine knows of it."""
        (found,) = json.loads(self.engine.docker("inspect", container))
        return dict(found)

    def await_healthy(self, container: str) -> None:
        """Until its health check passes."""
        await_until(
            lambda: self.inspect(container)["State"].get("Health", {}).get("Status") == "healthy",
            f"{container} healthy",
        )


@pytest.fixture(scope="module")
def stack(engine: Engine, digits: Path) -> Iterator[Stack]:
    """`up --wait`, with a model that the host trained; afterwards all of it is gone."""
    os.environ["KAN_PUBLISHED"] = str(digits)
    found = Stack(engine, digits)
    try:
        found.compose("up", "--build", "--wait", timeout=500)
        yield found
    finally:
        found.compose("down", "--volumes", "--timeout", "10")
        del os.environ["KAN_PUBLISHED"]


@dataclass
class Load:
    """Callers that never try again, and what became of their calls."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def calling() -> Iterator[Load]:
    """Callers that ask without a pause, until the block ends."""
    found, over, lock = Load(), threading.Event(), threading.Lock()
    request = pb.PredictRequest(
        model="digits", features=pb.Matrix(rows=1, columns=64, values=[0.0] * 64)
    ).SerializeToString()

    def call() -> None:
        with grpc.insecure_channel(
            ADDRESS, [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            predict: Callable[..., bytes] = channel.unary_unary(_PREDICT)
            while not over.is_set():
                try:
                    predict(request, timeout=30)
                except grpc.RpcError as error:
                    with lock:
                        found.failures.append(f"{error.code()}: {error.details()}")
                    # A connection that is refused is asked for again without a pause.
                    over.wait(0.05)
                else:
                    with lock:
                        found.answered += 1

    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(call) for _ in range(CALLERS)]
        try:
            await_until(lambda: found.answered >= 10 * CALLERS, "the callers are answered")
            yield found
        finally:
            over.set()
    for each in calls:
        each.result()


def await_until(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Ask again and again, other programs being as fast as they are."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)


@pytest.fixture
def load() -> Callable[[], AbstractContextManager[Load]]:
    """Callers that ask without a pause, until the block ends."""
    return calling


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Ask again and again until a condition holds; fails with the words that are given."""
    return await_until
