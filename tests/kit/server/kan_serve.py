"""kan-serve as a process of its own: it starts, says where it listens, and ends. Or the same server in this process."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import psutil

from tests.kit.server import metrics
from tests.kit.waiting import wait_for

FRONTENDS = ("grpcio", "envoy")
# What /readyz says of an event loop that does not turn.
_LATE = "the event loop"
# The program of this environment, as a module: there need be no script.
_PROGRAM = (sys.executable, "-m", "service.cli")
_FREE_PORTS = ("--grpc-port", "0", "--http-port", "0")
# Of a connection of its own, on which nothing is repeated.
_OPTIONS = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))


@dataclass(frozen=True)
class KanServe:
    """A kan-serve process, and those that it started, from outside."""

    process: "subprocess.Popen[str]"
    # What it says on standard output once it has loaded what there is, and the addresses in it.
    line: str
    grpc: str
    http: str
    # Where /metrics is: the HTTP port, or with TLS or tokens a port of its own.
    metrics: str
    log: Path
    options = _OPTIONS

    @classmethod
    def start(
        cls,
        models: Path | str,
        *flags: str,
        log: Path,
        program: Sequence[str] = _PROGRAM,
        folder: Path | None = None,
        ready: bool = True,
        **environment: str,
    ) -> "KanServe":
        """Start one on free ports, and wait for its line.

        Args:
            models: The repository.
            flags: More flags; those of ports win over the free ones.
            log: The file that gets standard error.
            program: The command without flags.
            folder: The working directory.
            ready: Whether it must say that it is ready; else it must say that it is not.
            environment: More environment variables.
        """
        with log.open("w") as file:
            process = subprocess.Popen(
                [*program, "--models", str(models), *_FREE_PORTS, *flags],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env={**os.environ, **environment},
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith(f"kan-serve {'ready' if ready else 'not ready'}: "):
            process.kill()
            process.communicate()
            raise AssertionError(f"kan-serve said {line!r}, and {log.read_text()!r} in its log")
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        return cls(process, line, words["grpc"], words["http"], words.get("metrics", words["http"]), log)

    @property
    def served(self) -> str:
        """The versions that its line names, as "digits/1,wine/3"."""
        return self.line.rpartition("models=")[2].strip()

    def channel(self) -> Any:  # `grpc` is an address in this class
        """A new connection for asyncio."""
        return grpc.aio.insecure_channel(self.grpc, options=self.options)

    def sample(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples that have these labels."""
        return metrics.total(metrics.read(self.metrics), name, **labels)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of what the port for metrics has there: health with reasons too."""
        return get(self.metrics, path)

    def is_ready(self) -> bool:
        """What /readyz says. On a machine that stood still the event loop may answer late: then it is asked again."""
        return wait_for(lambda: [status for status, text in [self.get("/readyz")] if _LATE not in text])[0] == 200

    def processes(self) -> list[psutil.Process]:
        """Its process and all that descend from it."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def envoy_folder(self) -> Path:
        """The folder that it made for its one Envoy."""
        (envoy,) = psutil.Process(self.process.pid).children()
        arguments = envoy.cmdline()
        return Path(arguments[arguments.index("--config-path") + 1]).parent

    def resident_bytes(self) -> int:
        """Memory of all its processes."""
        return sum(process.memory_info().rss for process in self.processes())

    def open_files(self) -> int:
        """File descriptors of all its processes."""
        return sum(process.num_fds() for process in self.processes())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, and wait for nothing."""
        self.process.send_signal(number)

    def finish(self, seconds: float = 90) -> tuple[int, str, str]:
        """Wait for its end. Gives the exit code, the rest of standard output, and the log."""
        out, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, self.log.read_text()

    def stop(self, seconds: float = 90) -> tuple[int, str]:
        """Tell it to stop and wait for its end. Gives the exit code and the log."""
        self.signal(signal.SIGTERM)
        code, _, log = self.finish(seconds)
        return code, log

    def kill(self) -> None:
        """End it and what it started, if it still runs. A second call does nothing."""
        for process in self.processes() if self.process.poll() is None else []:
            with suppress(psutil.NoSuchProcess):  # a child ends with its parent
                process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


Start = Callable[..., KanServe]


@contextmanager
def starter(models: Path | str, folder: Path, *always: str) -> Iterator[Start]:
    """Gives what starts kan-serve on `models`, as `KanServe.start` with flags; all are killed when the block ends.

    Args:
        models: The repository.
        folder: Where the logs go.
        always: Flags of each of them.
    """
    started: list[KanServe] = []

    def start(*flags: str, **options: Any) -> KanServe:
        log = folder / f"kan-serve-{len(started)}.log"
        started.append(KanServe.start(models, *always, *flags, log=log, **options))
        return started[-1]

    try:
        yield start
    finally:
        for server in started:
            server.kill()


@contextmanager
def serving(models: Path | str, *flags: str, **options: Any) -> Iterator[KanServe]:
    """A kan-serve until the block ends, as by `KanServe.start`; then it must end with exit code 0."""
    server = KanServe.start(models, *flags, **options)
    try:
        yield server
        if server.process.poll() is None:  # a test may have ended it
            code, log = server.stop()
            assert code == 0, log
    finally:
        server.kill()


# Gives a server in this process and a channel to it; keywords are settings.
Serving = Callable[..., AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def serving_here(models: Path, **settings: Any) -> AsyncIterator[tuple[Any, grpc.aio.Channel]]:
    """A server in this process, on the running event loop, and a channel to it; keywords are settings."""
    from service.process.server import start
    from service.settings import Settings

    server = await start(Settings(**{"models": models, "grpc_port": 0, "http_port": 0, "grace_seconds": 5, **settings}))
    try:
        await server.load()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.front.port}") as channel:
            yield server, channel
    finally:
        await stop_here(server, grace_seconds=5)


async def stop_here(server: Any, grace_seconds: float) -> None:
    """Stop a server in this process, as the first signal stops a kan-serve."""
    from service.process.stop import Stop

    stop = Stop(grace_seconds)
    stop.ask()
    await server.finish(stop)


def run_kan_serve(models: Path | str, *flags: str) -> "subprocess.CompletedProcess[str]":
    """Run a kan-serve that must end by itself, since something is wrong with what it is given."""
    return subprocess.run(
        [*_PROGRAM, "--models", str(models), *_FREE_PORTS, *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def get(address: str, path: str, seconds: float = 60) -> tuple[int, str]:
    """Status and body of one HTTP request."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
