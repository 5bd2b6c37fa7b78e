"""Server processes: start one, wait until it is ready, check one answer with grpc's own client, end it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from benchmarks.common.answers import Answers
from benchmarks.common.http2 import PLAIN, Security
from benchmarks.common.load_job import Exchange, Form
from benchmarks.common.served_models import MODEL_INFER, PREDICT, ServedModel

_START_SECONDS = 90.0
_STOP_SECONDS = 15.0
_LOG_CHARACTERS = 2000
_BENCHMARKS = Path(__file__).parents[1]
# The size of our answer to one row.
_ECHO_BYTES = 80
ECHO_ANSWER = bytes(_ECHO_BYTES)
FRONT_ENDS = ("grpcio", "envoy")
ECHOES = ("sync echo", "aio echo")
# MLServer's adaptive batching is off: with 16 requests and 1 ms, and with all other values tried, it was slower by at
# least a tenth.
_MLSERVER_BATCHING = ("0", "0")


@dataclass(frozen=True)
class Server:
    """A running server.

    Args:
        name: Name in the tables.
        role: "ours", "echo", "peer" or "slow"; it decides which loads the server gets.
        address: "host:port" for gRPC.
        pid: The server's first process; its others are descendants.
        http_address: "host:port" of its metrics; "" for a server without kan-serve's metrics.
    """

    name: str
    role: str
    address: str
    pid: int
    http_address: str = ""


class ServerError(Exception):
    """A server did not start, or gave a wrong answer."""


def front_ends() -> tuple[str, ...]:
    """The front ends of kan-serve that are installed here."""
    shown = subprocess.run([sys.executable, "-m", "service.cli", "--help"], capture_output=True, text=True, check=True)
    return FRONT_ENDS if "--frontend" in shown.stdout else FRONT_ENDS[:1]


@contextmanager
def ours(
    name: str,
    role: str,
    model: ServedModel,
    front_end: str,
    *flags: str,
    security: Security = PLAIN,
    is_asked: bool = True,
) -> Iterator[Server]:
    """Start kan-serve with this model and front end, and these flags.

    Unless `is_asked` is false it answers one call, which has this security.
    """
    command = [sys.executable, "-m", "service.cli", "--models", str(model.repository), "--grpc-port", "0"]
    command += ["--http-port", "0", *flags]
    if front_end != FRONT_ENDS[0]:
        command += ["--frontend", front_end]
    with _run_process(command) as process:
        line = process.first_line()
        if not line.startswith("kan-serve ready:"):
            raise ServerError(f"{name}: kan-serve printed {line!r}; wanted kan-serve ready:\n{process.log_end()}")
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        metrics = words.get("metrics", words["http"])
        server = Server(name, role, words["grpc"], process.popen.pid, metrics)
        if is_asked:
            _ask_once(server, process, PREDICT, "predict", model.exchanges("predict", 1, 1)[0], security)
        yield server


@contextmanager
def echo(name: str) -> Iterator[Server]:
    """Start a bare grpcio server, sync or aio."""
    command = [sys.executable, "-m", "benchmarks.serving.echo_server", name.split()[0], str(_ECHO_BYTES)]
    with _run_process(command) as process:
        yield Server(name, "echo", f"127.0.0.1:{process.first_line().strip()}", process.popen.pid)


@contextmanager
def shape(name: str, model: ServedModel) -> Iterator[Server]:
    """Start a prototype of shape_server.py."""
    command = [sys.executable, "-m", "benchmarks.serving.shape_server", name, str(model.path)]
    with _run_process(command) as process:
        yield Server(name, "ours", f"127.0.0.1:{process.first_line().strip()}", process.popen.pid)


@contextmanager
def peer(name: str, python: Path, model: ServedModel) -> Iterator[Server]:
    """Start a peer from its own environment. Its output is shown only in error messages."""
    grpc_port, *others = free_ports({"kserve": 2}.get(name, 3))
    command = [
        str(python),
        str(_BENCHMARKS / "serving" / "peer_servers" / f"{name}_server.py"),
        str(model.path),
        grpc_port,
        *others,
    ]
    if name == "mlserver":
        command += _MLSERVER_BATCHING
    # Without LD_LIBRARY_PATH, Triton's Python backend loads the system's libpython instead of its own.
    environment = {"PYTHONPATH": str(_BENCHMARKS.parent), "LD_LIBRARY_PATH": str(python.resolve().parents[1] / "lib")}
    with _run_process(command, environment) as process:
        server = Server(name, "peer", f"127.0.0.1:{grpc_port}", process.popen.pid)
        _ask_once(server, process, MODEL_INFER, "infer", model.exchanges("infer", 1, 1)[0])
        yield server


@contextmanager
def _run_process(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator["_Process"]:
    """Start a process in its own group; at the end the whole group is killed."""
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "log", "w") as log:
        process = subprocess.Popen(
            command,
            stdout=log if environment else subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "ORT_DISABLE_TELEMETRY": "1", **(environment or {})},
            start_new_session=True,
            cwd=folder if environment else None,
        )
        try:
            yield _Process(process, Path(log.name))
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _ask_once(
    server: Server, process: "_Process", path: str, form: Form, exchange: Exchange, security: Security = PLAIN
) -> None:
    """Ask until the server answers, with grpc's own client: unlike the load generator it reads the status."""
    until = time.monotonic() + _START_SECONDS
    # By default grpc's pauses between connection attempts grow to minutes.
    with security.channel(server.address, ("grpc.max_reconnect_backoff_ms", 500)) as channel:
        ask: Any = channel.unary_unary(path)
        while True:
            try:
                answer = ask(exchange.request, timeout=10, metadata=security.metadata, wait_for_ready=True)
                break
            except grpc.RpcError as error:
                if time.monotonic() > until or process.popen.poll() is not None:
                    raise ServerError(f"{server.name} does not answer: {error}\n{process.log_end()}") from error
                time.sleep(0.2)
    Answers(form, [exchange]).check(0, answer)


@dataclass(frozen=True)
class _Process:
    popen: "subprocess.Popen[str]"
    log: Path

    def first_line(self) -> str:
        """The first line of output; a server prints it when it is ready."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline()

    def log_end(self) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-_LOG_CHARACTERS:]


def free_ports(count: int) -> list[str]:
    """Ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [str(one.getsockname()[1]) for one in sockets]
