"""deploy/compose.yaml by a real engine, and callers from the host."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.deploy.engine import Engine
from tests.kit.callers.load import Load, calling
from tests.kit.callers.protocols import KanApi
from tests.kit.waiting import wait_for

ROOT = Path(__file__).parents[3]
FILES = (ROOT / "deploy/compose.yaml", ROOT / "tests/deploy/compose.ci.yaml")
ADDRESS = "127.0.0.1:8001"
DOCUMENTED = "docker compose -f deploy/compose.yaml"


@dataclass(frozen=True)
class Stack:
    """All services, up and healthy.

    Attributes:
        engine: Runs them.
        models: Folder of the models that the host published.
        overlays: Files beside compose.yaml.
    """

    engine: Engine
    models: Path
    overlays: tuple[Path, ...] = ()

    @property
    def _files(self) -> list[str]:
        return [word for path in (*FILES, *self.overlays) for word in ("-f", str(path))]

    def compose(self, *arguments: str, timeout: float = 300) -> str:
        """Run one command of compose."""
        return self.engine.docker("compose", *self._files, *arguments, timeout=timeout)

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
        commands = {each for each in commands if not each.startswith("kubectl ")}
        # The runbooks' word for it.
        (command,) = {re.sub("^compose ", f"{DOCUMENTED} ", each) for each in commands}
        for verb in (" exec ", " run "):  # there is no terminal
            command = command.replace(verb, f"{verb}-T ", 1) if command.startswith(DOCUMENTED) else command
        command = command.replace(DOCUMENTED, shlex.join(["/usr/bin/docker", "compose", *self._files]))
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
        wait_for(
            lambda: self.inspect(container)["State"].get("Health", {}).get("Status") == "healthy",
            f"{container} healthy",
        )

    def await_balanced(self, replicas: int) -> None:
        """Until Envoy's own health checks pass for so many replicas. They may pass later than those of the engine."""
        # All statistics come in several chunks, which cut lines.
        path = "/stats/prometheus?filter=membership_healthy"
        request = rf"GET {path} HTTP/1.1\r\nhost: envoy\r\nconnection: close\r\n\r\n"
        ask = f"exec 3<>/dev/tcp/127.0.0.1/9901; printf '{request}' >&3; cat <&3"
        command = ("exec", "-T", "envoy", "bash", "-c", ask)
        wanted = f'envoy_cluster_membership_healthy{{envoy_cluster_name="kan-serve"}} {replicas}'
        wait_for(lambda: wanted in self.compose(*command).splitlines(), f"Envoy balances over {replicas}")


@contextmanager
def running_stack(engine: Engine, digits: Path, *overlays: Path, **variables: str) -> Iterator[Stack]:
    """`up --wait`, with a model that the host trained; afterwards all of it is gone."""
    found = Stack(engine, digits, overlays)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"KAN_PUBLISHED": str(digits), **variables}.items():
            patch.setenv(name, value)
        try:
            found.compose("up", "--build", "--wait", timeout=500)
            yield found
        finally:
            found.compose("down", "--volumes", "--timeout", "10")


@pytest.fixture(scope="module")
def stack(engine: Engine, digits: Path) -> Iterator[Stack]:
    """Without an overlay."""
    with running_stack(engine, digits) as found:
        yield found


@contextmanager
def _calling() -> Iterator[Load]:
    request = KanApi.request("digits", np.zeros((1, 64), np.float32))
    with calling(ADDRESS, request) as found:
        wait_for(lambda: found.answered >= 40, "the callers are answered")
        yield found


@pytest.fixture
def load() -> Callable[[], AbstractContextManager[Load]]:
    """Callers that ask without a pause, until the block ends; some are answered when it begins."""
    return _calling
