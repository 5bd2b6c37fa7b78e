"""Our server beside bare grpcio echoes: ``python -m benchmarks.serving``.

Every server is up all the time; cells run one after another, round after round, so that noise meets all alike.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kan_api.v1 import manifest_pb2, prediction_pb2
from kan_model import KAN, KANConfig
from kan_model.lowering import lower
from training.publish import publish

_PREDICT = "/kan_api.v1.PredictionService/Predict"
_WIDTH = (16, 32, 4)
# (rows a request, callers)
_CELLS = ((1, 1), (1, 16), (1, 64), (64, 8))
_SECONDS = 2.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A server that is up."""

    name: str
    address: str
    pid: int

    def cpu_seconds(self) -> float:
        """Processor time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


def main() -> None:
    """Measure every cell on every server and print medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    found: dict[tuple[str, int, int], list[dict[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        _publish(Path(folder))
        servers = [
            stack.enter_context(_ours(Path(folder))),
            stack.enter_context(_echo("sync")),
            stack.enter_context(_echo("aio")),
        ]
        for _ in range(rounds):
            for rows, callers in _CELLS:
                for server in servers:
                    found[server.name, rows, callers].append(_measure(server, rows, callers))
    print(f"{'server':12}{'rows':>6}{'callers':>9}{'requests/s':>12}{'CPU µs':>9}{'p50 ms':>9}{'p99 ms':>9}")
    for (name, rows, callers), samples in found.items():
        rate, cpu, p50, p99 = (
            statistics.median(sample[key] for sample in samples) for key in ("rate", "cpu", "p50", "p99")
        )
        print(f"{name:12}{rows:6}{callers:9}{rate:12.0f}{1e6 * cpu:9.0f}{1e3 * p50:9.2f}{1e3 * p99:9.2f}")


def _measure(server: Server, rows: int, callers: int) -> dict[str, float]:
    before = server.cpu_seconds()
    command = [sys.executable, "-m", "benchmarks.load", server.address, _PREDICT, str(callers), str(_SECONDS)]
    done = subprocess.run(command, input=_request(rows), capture_output=True, check=True, timeout=60)
    seen = json.loads(done.stdout)
    # The warm-up's requests are in the processor time and not in the count; they are a share of the same seconds.
    share = _SECONDS / (_SECONDS + 0.3)
    return {
        "rate": seen["requests"] / seen["seconds"],
        "cpu": (server.cpu_seconds() - before) * share / seen["requests"],
        "p50": seen["p50"],
        "p99": seen["p99"],
    }


def _request(rows: int) -> bytes:
    values = np.random.default_rng(0).uniform(-1, 1, (rows, _WIDTH[0])).astype(np.float32)
    matrix = prediction_pb2.Matrix(rows=rows, columns=_WIDTH[0], raw=values.tobytes())
    return prediction_pb2.PredictRequest(model="kan", features=matrix).SerializeToString()


def _publish(models: Path) -> None:
    """A small KAN of random weights, tuned here."""
    lowered = lower(KAN(KANConfig(_WIDTH, grid_size=8), seed=0))
    manifest = manifest_pb2.ModelManifest(
        name="kan",
        task=manifest_pb2.TASK_REGRESSION,
        inputs=[manifest_pb2.TensorSpec(name="features", datatype="FP32", shape=[-1, _WIDTH[0]])],
        outputs=[manifest_pb2.TensorSpec(name="prediction", datatype="FP32", shape=[-1, _WIDTH[-1]])],
        columns=[manifest_pb2.Column(name=f"x{i}") for i in range(_WIDTH[0])],
        features=[manifest_pb2.Feature(name=f"x{i}", column=f"x{i}", low=-1, high=1) for i in range(_WIDTH[0])],
        preferred_rows=lowered.preferred_rows,
    )
    publish(models, manifest, lambda _: {"model.onnx": lowered.model.SerializeToString()})


@contextmanager
def _ours(models: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "service.cli", "--models", str(models), "--grpc-port", "0", "--http-port", "0"]
    with _running(command) as (process, line):
        assert line.startswith("kan-serve ready:"), line
        yield Server("ours", line.split("grpc=")[1].split()[0], process.pid)


@contextmanager
def _echo(kind: str) -> Iterator[Server]:
    # As long as our answer to one row.
    with _running([sys.executable, "-m", "benchmarks.echo_server", kind, "80"]) as (process, line):
        yield Server(f"{kind} echo", f"127.0.0.1:{line.strip()}", process.pid)


@contextmanager
def _running(command: list[str]) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
