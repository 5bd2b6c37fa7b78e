"""What a user installs: the wheel with one extra, in an environment of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.models.digits import ServedDigits
from tests.kit.server.kan_serve import serving

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.install, pytest.mark.timeout(900)]


# One mistake a package. A package without py.typed would be Any: no mistake, and a complaint about its import.
CALLER = """
from kan_api.excess import excess
from kan_model.splines.bspline import cardinal_terms
from open_inference.grpc_predict_v2_pb2 import ServerLiveResponse
from service.client import Client
from training.errors import quoted

excess("manifest")
cardinal_terms("three")
ServerLiveResponse(live="yes")
Client(1)
quoted(1)
"""


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Build the wheel once; give a new environment's programs with the wheel and one extra."""
    folder = tmp_path_factory.mktemp("install")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    wheel = next(folder.glob("*.whl"))

    def make(extra: str) -> Path:
        environment = folder / extra
        run(sys.executable, "-m", "venv", str(environment))
        run(str(environment / "bin" / "python"), "-m", "pip", "install", "-q", f"{wheel}[{extra}]")
        return environment / "bin"

    return make


def test_serve_serves_without_torch_on_the_newest_protobuf(
    install: Callable[[str], Path], digits: ServedDigits, tmp_path: Path
) -> None:
    """[serve] alone loads a published model and answers; torch and onnx are not there, protobuf is 7 or newer."""
    programs = install("serve")
    listed = json.loads(run(str(programs / "python"), "-m", "pip", "list", "--format=json"))
    packages = {package["name"]: package["version"] for package in listed}
    assert not {"torch", "onnx", "pandas", "scikit-learn"} & packages.keys()
    assert int(packages["protobuf"].split(".")[0]) >= 7
    code = "import service.process.server, sys; assert 'torch' not in sys.modules"
    run(str(programs / "python"), "-c", code)
    program = [str(programs / "kan-serve")]
    with serving(digits.models, log=tmp_path / "log", program=program, folder=programs) as server:
        assert accuracy(programs, server.grpc, digits) >= 0.94


def test_client_alone_can_call(install: Callable[[str], Path], digits: ServedDigits) -> None:
    """[client] is numpy, grpcio and protobuf: enough for kan-client."""
    programs = install("client")
    listed = json.loads(run(str(programs / "python"), "-m", "pip", "list", "--format=json"))
    assert not {"torch", "onnxruntime", "pydantic", "prometheus-client"} & {package["name"] for package in listed}
    assert accuracy(programs, digits.server.grpc, digits) >= 0.94


def test_mypy_sees_our_types_from_outside(install: Callable[[str], Path], tmp_path: Path) -> None:
    """A caller's mypy checks calls of each package of the wheel, since each holds py.typed."""
    programs = install("client")
    run(str(programs / "python"), "-m", "pip", "install", "-q", "mypy")
    caller = tmp_path / "caller.py"
    caller.write_text(CALLER)
    done = subprocess.run(
        [str(programs / "python"), "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), str(caller)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    found = [line.rpartition("[")[2] for line in done.stdout.splitlines() if line.startswith("caller.py:")]
    assert found == ["arg-type]"] * 5, done.stdout


def accuracy(programs: Path, address: str, digits: ServedDigits) -> float:
    """What kan-client measures on the held-out rows."""
    held_out = digits.run / "held_out.csv"
    command = [str(programs / "kan-client"), "predict", "digits", str(held_out), "--target", "target"]
    done = subprocess.run([*command, "--address", address], cwd=programs, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return float(done.stderr.split("accuracy ")[1].split()[0])


def run(*command: str) -> str:
    """Run away from the source tree, so that only what is installed can be imported; standard output."""
    done = subprocess.run(command, cwd=os.sep, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout
