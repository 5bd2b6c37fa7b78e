"""One model on its whole way: digits, trained, published and served by real processes."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
RECIPE = Path(__file__).parents[2] / "training" / "recipes" / "digits.toml"


@dataclass(frozen=True)
class Digits:
    """Where the trained model, its run folder and its server are."""

    models: Path
    runs: Path
    grpc: str
    http: str


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Digits]:
    """Train digits by `kan-train`, serve it by `kan-serve`, on ports of its own."""
    folder = tmp_path_factory.mktemp("digits")
    models, runs = folder / "models", folder / "runs"
    subprocess.run([BIN / "kan-train", "run", RECIPE, "--models", models, "--runs", runs], check=True, timeout=600)
    command = [str(BIN / "kan-serve"), "--models", str(models), "--grpc-port", "0", "--http-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            assert line.startswith("kan-serve ready:"), line
            addresses = dict(part.split("=", 1) for part in line.split() if "=" in part)
            yield Digits(models, runs, addresses["grpc"], addresses["http"])
        finally:
            server.terminate()
            assert server.wait(40) == 0
