"""The examples of docs/clients.md do what they say."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kan_api.v1.manifest_pb2 import ModelManifest

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "clients.md").read_text()
FEATURES, CLASSES = 64, 10
# All rows of the examples are zeros: the bias decides, for the class 7.
BIAS = np.where(np.arange(CLASSES) == 7, 2.0, 0.0).astype(np.float32)
PROBABILITIES = np.exp(BIAS) / np.exp(BIAS).sum()


def example(heading: str, language: str, address: str) -> str:
    """The code below a heading, for the server at this address."""
    section = re.split(r"^## ", TEXT, flags=re.MULTILINE)
    [body] = [part for part in section if part.startswith(f"{heading}\n")]
    [code] = re.findall(rf"^```{language}\n(.*?)^```", body, flags=re.MULTILINE | re.DOTALL)
    assert "127.0.0.1:8001" in code
    return str(code).replace("127.0.0.1:8001", address)


def run(command: list[str], code: str, **environment: str) -> str:
    """What the code prints, run from the repository's root."""
    done = subprocess.run(
        [*command, code],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def address(kan_serve: Callable[..., Any], write_model: Callable[..., Path]) -> str:
    """A kan-serve of a model like that of digits."""
    weights = np.random.default_rng(0).normal(size=(FEATURES, CLASSES)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["s"]), helper.make_node("Softmax", ["s"], ["y"], axis=1)],
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", CLASSES])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(BIAS, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    content = model.SerializeToString()

    def digits(manifest: ModelManifest) -> None:
        manifest.inputs[0].shape[1], manifest.outputs[0].shape[1] = FEATURES, CLASSES
        manifest.classes[:] = [str(digit) for digit in range(CLASSES)]
        for place in range(len(manifest.features), FEATURES):
            manifest.columns.add(name=f"x{place}")
            manifest.features.add(name=f"x{place}", column=f"x{place}", high=16)
        manifest.files[0].sha256, manifest.files[0].size_bytes = hashlib.sha256(content).hexdigest(), len(content)

    (write_model("classifier", name="digits", change=digits) / "model.onnx").write_bytes(content)
    found: str = kan_serve().grpc
    return found


def test_python(address: str) -> None:
    """The models, the label of the first row, its probability, the version."""
    models, answer = run([sys.executable, "-c"], example("From Python", "python", address)).splitlines()
    assert models == "['digits']"
    label, probability, version = answer.split()
    assert (label, version) == ("7", "1")
    assert float(probability) == pytest.approx(PROBABILITIES[7], abs=1e-6)


def test_python_with_asyncio(address: str) -> None:
    """A label a row."""
    assert run([sys.executable, "-c"], example("From Python with asyncio", "python", address)) == f"{['7'] * 5}\n"


def test_streams_from_python(address: str) -> None:
    """A label and a version a block."""
    assert run([sys.executable, "-c"], example("Streams from Python", "python", address)) == "7 1\n" * 100


def test_triton(address: str) -> None:
    """Probabilities, row by row, and a label a row."""
    printed = run([sys.executable, "-c"], example("With Triton's client", "python", address))
    assert printed.endswith("[b'7' b'7' b'7' b'7' b'7']\n")
    numbers = np.array(re.findall(r"\d\.[\de-]+", printed), np.float32).reshape(5, CLASSES)
    np.testing.assert_allclose(numbers, np.tile(PROBABILITIES, (5, 1)), atol=1e-6)


def test_buf_curl(address: str) -> None:
    """Methods, models and an answer as JSON; buf lies beside this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    printed = run(["bash", "-c"], example("With buf curl", "sh", address), PATH=path)
    methods, _, rest = printed.partition("{")
    assert "kan_api.v1.PredictionService/Predict\n" in methods
    decoder = json.JSONDecoder()
    models, end = decoder.raw_decode(f"{{{rest}")
    answer = json.loads(f"{{{rest}"[end:])
    assert [model["name"] for model in models["models"]] == ["digits"]
    values = answer["outputs"][0]["values"]
    assert sum(values["values"]) == pytest.approx(1.0, abs=1e-5)
    assert len(values["values"]) == CLASSES


@pytest.mark.web
def test_javascript(address: str) -> None:
    """The version, the width, the first row's probabilities."""
    packages = Path(__file__).with_name("node_modules")
    printed = run(["node", "-e"], example("From JavaScript", "js", address), NODE_PATH=str(packages))
    version, width, rest = printed.split(maxsplit=2)
    assert (version, width) == ("1", str(CLASSES))
    numbers = np.array(re.findall(r"\d\.\d+", rest), np.float32)
    np.testing.assert_allclose(numbers, PROBABILITIES, atol=1e-6)
