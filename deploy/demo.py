"""The whole way once: train on digits, publish, serve, predict over gRPC, read the metrics; then stop it all.

Run by ``make demo``. Every command it runs is shown, and is one that a person can run.
"""

import csv
import os
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from service.client import Client

MODEL = "digits"
RECIPE = "training/recipes/digits.toml"
HELD_OUT = Path("runs") / MODEL / "held_out.csv"
START_SECONDS, STOP_SECONDS = 60.0, 40.0
SINGLE_ROWS = 300


def main() -> None:
    """Go the whole way, then say where to look next."""
    started = time.monotonic()
    say("1. Train a KAN on 1,797 handwritten digits, verify its ONNX graph, publish it")
    # --fresh: a demo that was stopped half-way should simply run when it is started again.
    run("kan-train", "run", RECIPE, "--models", "models", "--fresh")

    say("2. Serve the model repository over gRPC")
    with server("kan-serve", "--models", "models", "--grpc-port", "0", "--http-port", "0") as (grpc, http):
        say(f"3. Send the rows that training never saw, from a client; then {SINGLE_ROWS} of them again, one by one")
        run("kan-client", "predict", MODEL, str(HELD_OUT), "--target", "target", "--address", grpc, quiet_lines=3)
        accuracy, expected = call(grpc)

        say("4. What Prometheus sees")
        p50, p99, requests = latency(http)
        print(told(http, round(requests), p50, p99))
        say("5. Stop the server: it answers what it accepted, then ends")

    say("6. What came out")
    print(f"   accuracy over the wire {accuracy:.4f}, in training {expected:.4f}")
    print(f"   the whole way took {time.monotonic() - started:.0f} s; the server is stopped, models/ is kept")
    print(
        """
Where to look next
   models/digits/                               what was published: model.onnx, manifest.json and report.html
   source .venv/bin/activate                    the commands above on your path
   kan-serve                                    serve it again (gRPC 8001, metrics 8002); then: kan-client models
   kan-train init DATA.csv --target COLUMN      your own table
   README.md, docs/                             how and why"""
    )
    if accuracy != expected:
        sys.exit("the accuracy over the wire is not the accuracy in training: please report this")


def call(address: str) -> tuple[float, float]:
    """Accuracy on the held-out rows over gRPC, and the one that training measured.

    One request for all rows, then single rows: they are most of what the latency in step 4 is of.
    """
    with HELD_OUT.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    truth = [str(int(float(row["target"]))) for row in rows]
    with Client(address) as client:
        prediction = client.predict(MODEL, rows)
        expected = client.manifest(MODEL).metrics["test_accuracy"]
        features = np.array([list(row.values())[:-1] for row in rows], dtype=np.float32)
        for row in features[:SINGLE_ROWS]:
            client.predict(MODEL, row)
    assert prediction.labels is not None
    right = sum(label == word for label, word in zip(prediction.labels, truth, strict=True))
    return right / len(rows), expected


def latency(address: str) -> tuple[float, float, float]:
    """p50 and p99 in seconds from the request histogram, as Prometheus' histogram_quantile takes them; and requests."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as response:
        families = list(text_string_to_metric_families(response.read().decode()))
    family = next(family for family in families if family.name == "kan_request_duration_seconds")
    samples = [sample for sample in family.samples if sample.labels.get("model") == MODEL]
    buckets = sorted((float(s.labels["le"]), s.value) for s in samples if s.name.endswith("_bucket"))
    return quantile(0.5, buckets), quantile(0.99, buckets), buckets[-1][1]


def told(address: str, requests: int, p50: float, p99: float) -> str:
    """What the metrics say of the calls of step 3, and what these calls were. p50 and p99 are in seconds."""
    others = requests - SINGLE_ROWS
    return (
        f"   http://{address}/metrics has counted {requests} requests since the start, all of step 3: "
        f"{SINGLE_ROWS} of one row each,\n"
        f"   and {others} that sent the whole file or asked which columns the model wants\n"
        f"   time inside the server: p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms"
    )


def quantile(share: float, buckets: list[tuple[float, float]]) -> float:
    """Linear within the bucket where ``share`` of all observations is reached; buckets are cumulative."""
    rank = share * buckets[-1][1]
    low, below = 0.0, 0.0
    for high, count in buckets:
        if count >= rank:
            return low if high == float("inf") else low + (high - low) * (rank - below) / max(count - below, 1)
        low, below = high, count
    return low


def say(text: str) -> None:
    """A heading."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def program(command: tuple[str, ...]) -> list[str]:
    """The command as it is started: programs lie beside the interpreter of this environment."""
    return [str(Path(sys.executable).with_name(command[0])), *command[1:]]


def run(*command: str, quiet_lines: int | None = None) -> None:
    """Run a command to its end, showing it; of long output only the first lines."""
    print(f"$ {shlex.join(command)}", flush=True)
    if quiet_lines is None:
        code = subprocess.run(program(command)).returncode
    else:
        done = subprocess.run(program(command), capture_output=True, text=True)
        lines, code = done.stdout.splitlines(), done.returncode
        shown = [*lines[:quiet_lines], f"… {len(lines) - quiet_lines} more lines"]
        # What it says about the whole comes on standard error, and last.
        print("\n".join([*shown, done.stderr.strip()]))
    if code != 0:
        sys.exit(f"`{shlex.join(command)}` failed with exit code {code}")


@contextmanager
def server(*command: str) -> Iterator[tuple[str, str]]:
    """Start kan-serve, give its gRPC and HTTP address once it is ready, stop it at the end."""
    print(f"$ {shlex.join(command)}", flush=True)
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
    process = subprocess.Popen(program(command), stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        # The one line on standard output comes when the models are warm; a server that fails closes it.
        line = process.stdout.readline()
        if not line.startswith("kan-serve ready:"):
            sys.exit(f"kan-serve did not start; exit code {process.wait(START_SECONDS)}")
        print(f"   {line.strip()}")
        addresses = dict(part.split("=", 1) for part in line.split() if "=" in part)
        yield addresses["grpc"], addresses["http"]
    finally:
        print(f"$ kill {process.pid}", flush=True)
        process.terminate()
        process.wait(STOP_SECONDS)


if __name__ == "__main__":
    main()
