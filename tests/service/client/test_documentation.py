"""The examples of docs/clients.md do what they say."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kan_api.v1.manifest_pb2 import AttributionGraph, Histogram, ModelManifest
from service.rpc.status import Code
from tests.kit.models.attributions import linear_attribution
from tests.kit.models.repository import list_files, write_version
from tests.kit.server.kan_serve import serving

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "clients.md").read_text()
FEATURES, CLASSES = 64, 10
# All rows of the examples are zeros: the bias decides, for the class 7.
BIAS = np.where(np.arange(CLASSES) == 7, 2.0, 0.0).astype(np.float32)
WEIGHTS = np.random.default_rng(0).normal(size=(FEATURES, CLASSES)).astype(np.float32)
PROBABILITIES = np.exp(BIAS) / np.exp(BIAS).sum()


def section(heading: str) -> str:
    """The text below a heading."""
    [found] = [part for part in re.split(r"^## ", TEXT, flags=re.MULTILINE) if part.startswith(f"{heading}\n")]
    return found


def block(heading: str, language: str) -> str:
    """The only block of this language below a heading."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```", section(heading), flags=re.MULTILINE | re.DOTALL)
    return str(found)


def example(heading: str, language: str, address: str) -> str:
    """The code below a heading, for the server at this address."""
    code = block(heading, language)
    assert "127.0.0.1:8001" in code
    return code.replace("127.0.0.1:8001", address)


def objects(text: str) -> list[Any]:
    """JSON objects, one after the other."""
    decoder, found = json.JSONDecoder(), []
    while text := text.strip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def run(command: list[str], code: str, **environment: str) -> str:
    """The output of the code, run in the root of the repository."""
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


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A kan-serve of a model like that of digits; the tests share it."""
    folder = tmp_path_factory.mktemp("shared")
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["features", "w", "b"], ["s"]),
            helper.make_node("Softmax", ["s"], ["probabilities"], axis=1),
        ],
        "digits",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", FEATURES])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", CLASSES])],
        [numpy_helper.from_array(WEIGHTS, "w"), numpy_helper.from_array(BIAS, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    content = model.SerializeToString()

    def digits(manifest: ModelManifest) -> None:
        manifest.inputs[0].shape[1], manifest.outputs[0].shape[1] = FEATURES, CLASSES
        manifest.inputs[0].name, manifest.outputs[0].name = "features", "probabilities"
        manifest.classes[:] = [str(digit) for digit in range(CLASSES)]
        for place in range(len(manifest.features), FEATURES):
            manifest.columns.add(name=f"x{place}")
            manifest.features.add(name=f"x{place}", column=f"x{place}", high=16)
        for feature in manifest.features:
            feature.histogram.CopyFrom(Histogram(edges=[feature.low, feature.high], counts=[9]))
        names = [column.name for column in manifest.columns]
        manifest.attribution_graph.CopyFrom(
            AttributionGraph(reference=[0.0] * FEATURES, columns=names, explains_scores=True, max_rows=4096)
        )

    def graphs(version: Path) -> None:
        (version / "model.onnx").write_bytes(content)
        attribution = linear_attribution(WEIGHTS, BIAS, np.eye(FEATURES, dtype=np.float32))
        (version / "attribution.onnx").write_bytes(attribution.SerializeToString())
        list_files(version, "model.onnx", "attribution.onnx")

    write_version(folder / "models", "classifier", name="digits", change=digits, spoil=graphs)
    with serving(folder / "models", log=folder / "log") as server:
        yield server.grpc


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


def test_known_ground(address: str) -> None:
    """Two rows from nowhere: all of their cells are outside the range."""
    told = run([sys.executable, "-c"], example("Known ground", "python", address))
    assert told == (
        "2 rows, 128 cells; the first is UnknownCell(row=0, column='x0', reason='outside_range', value=99.0)\n"
    )


def test_explanations(address: str) -> None:
    """The class with the largest score, the column that contributes most to it, and the shapes, as numpy has them."""
    row = np.arange(64) % 16
    output = int((row @ WEIGHTS + BIAS).argmax())
    column = int(np.abs(row * WEIGHTS[:, output]).argmax())
    told = run([sys.executable, "-c"], example("Explanations", "python", address))
    assert told == f"{output} x{column} (5, 10, 64) (1, 10)\n"


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
    models, answer = objects(f"{{{rest}")
    assert [model["name"] for model in models["models"]] == ["digits"]
    values = answer["outputs"][0]["values"]
    assert sum(values["values"]) == pytest.approx(1.0, abs=1e-5)
    assert len(values["values"]) == CLASSES


# What the JSON example sends.
IRIS = np.array([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]], np.float32)
LARGEST_MESSAGE = 4096


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A kan-serve behind Envoy: "iris", "imputed" (2 features, NaN allowed), "fails" at numbers above 4, "broken"."""
    folder = tmp_path_factory.mktemp("envoy")
    models = folder / "models"

    def iris(manifest: ModelManifest) -> None:
        manifest.classes[:] = ["setosa", "versicolor", "virginica"]

    write_version(models, "classifier", name="iris", change=iris)
    write_version(models, "imputed")
    (write_version(models, "affine", name="broken") / "model.onnx").write_bytes(b"no graph")
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["place"], to=TensorProto.INT64),
            helper.make_node("Gather", ["zeros", "place"], ["found"]),
            helper.make_node("ReduceMax", ["found"], ["y"], axes=[1]),
        ],
        "fails",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])],
        [numpy_helper.from_array(np.zeros(5, np.float32), "zeros")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    content = model.SerializeToString()

    def fails(manifest: ModelManifest) -> None:
        manifest.files[0].sha256, manifest.files[0].size_bytes = hashlib.sha256(content).hexdigest(), len(content)

    (write_version(models, "affine", name="fails", change=fails) / "model.onnx").write_bytes(content)
    flags = ("--frontend", "envoy", "--max-message-bytes", str(LARGEST_MESSAGE))
    with serving(models, *flags, log=folder / "log") as server:
        yield server.grpc


def post(address: str, method: str, body: bytes, **headers: str) -> tuple[int, str]:
    """The status and the text that this body is answered with."""
    request = urllib.request.Request(
        f"http://{address}/kan_api.v1.PredictionService/{method}",
        body,
        {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def rows(model: str, features: list[Any], **fields: Any) -> bytes:
    """A request for one row."""
    matrix = {"rows": 1, "columns": len(features), "values": features}
    return json.dumps({"model": model, "features": matrix, **fields}).encode()


def form(value: Any) -> Any:
    """A JSON value with only the types of what is in it."""
    if isinstance(value, dict):
        return {name: form(each) for name, each in value.items()}
    if isinstance(value, list):
        return [form(each) for each in value]
    return float if isinstance(value, int | float) else type(value)


def test_json(envoy: str, answer: Callable[..., Any]) -> None:
    """The models, the classes, a probability for each class of each row; the answer has the form of the one shown."""
    models, model, prediction = objects(run(["bash", "-c"], example("JSON over HTTP", "sh", envoy)))
    assert [each["name"] for each in models["models"]] == ["broken", "fails", "imputed", "iris"]
    assert model["manifest"]["classes"] == ["setosa", "versicolor", "virginica"]
    numbers = prediction["outputs"][0]["values"]["values"]
    np.testing.assert_allclose(np.reshape(numbers, (2, 3)), answer("classifier", IRIS), atol=1e-6)
    assert form(prediction) == form(json.loads(block("JSON over HTTP", "json")))


def test_json_numbers(envoy: str) -> None:
    """The string NaN is a missing cell, null is none; integers may be strings; raw gets raw; odd fields are ignored."""
    status, text = post(envoy, "Predict", rows("imputed", ["NaN", 1], version="1", odd="odd"))
    assert (status, json.loads(text)["outputs"][0]["values"]["values"]) == (200, [2])
    assert post(envoy, "Predict", rows("imputed", [None, 1]))[0] == 400
    assert post(envoy, "Predict", rows("imputed", [float("nan"), 1]))[0] == 400
    raw = base64.b64encode(np.array([2, 1], "<f4").tobytes()).decode()
    matrix = {"rows": "1", "columns": "2", "raw": raw}
    status, text = post(envoy, "Predict", json.dumps({"model": "imputed", "features": matrix}).encode())
    values = json.loads(text)["outputs"][0]["values"]
    assert (status, values["values"]) == (200, [])
    assert np.frombuffer(base64.b64decode(values["raw"]), "<f4").tolist() == [3]
    status, text = post(envoy, "Predict", rows("imputed", [3e38, 3e38]))
    assert (status, json.loads(text)["outputs"][0]["values"]["values"]) == (200, ["Infinity"])


def test_json_stream(envoy: str) -> None:
    """An array of requests is answered by an array, with an id and a prediction or a failure each."""
    requests = b"[" + rows("imputed", [1, 2], id="a") + b"," + rows("absent", [1], id="b") + b"]"
    status, text = post(envoy, "PredictStream", requests)
    assert status == 200
    found = {each.pop("id"): list(each) for each in json.loads(text)}
    assert found == {"a": ["prediction"], "b": ["failure"]}


def test_json_errors(envoy: str) -> None:
    """Every line of the table of statuses is answered as it says, and an error has the form of the one shown."""
    wrong_width = post(envoy, "Predict", rows("iris", [1, 2, 3]))
    assert f"`{wrong_width[1]}`" in section("JSON over HTTP")
    answers = [
        wrong_width,
        post(envoy, "Explain", rows("iris", [1, 2, 3, 4])),
        post(envoy, "Predict", rows("absent", [1])),
        post(envoy, "Predict", rows("iris", [1, 2, 3, 4], id="i" * LARGEST_MESSAGE)),
        post(envoy, "Predict", rows("fails", [5, 5, 5, 5])),
        post(envoy, "Predict", rows("broken", [1, 2, 3, 4])),
        post(envoy, "Predict", rows("iris", [1, 2, 3, 4]), grpc_timeout="1n"),
    ]
    found = [(status, json.loads(text)["code"]) for status, text in answers]
    table = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)` \|", section("JSON over HTTP"), flags=re.MULTILINE)
    assert found == [(int(status), int(code)) for status, code, _ in table]
    assert [Code(code).name for _, code in found] == [name for _, _, name in table]

    status, text = post(envoy, "Predict", b"no JSON")
    assert (status, json.loads(text)["code"]) == found[0]

    lines = [post(envoy, "Absent", b"{}")]
    table = re.findall(r"^\| (\d+) \| a line of text \|", section("JSON over HTTP"), flags=re.MULTILINE)
    assert [status for status, _ in lines] == [int(status) for status in table]


@pytest.mark.parametrize(
    ("kind", "message", "first"),
    [
        ("application/grpc-web+proto", b"\0\0\0\0\0", b"\0\0\0\0\2\x08\1"),
        ("application/grpc-web-text", b"AAAAAAA=", b"AAAAAAIIAQ=="),
    ],
)
def test_streams_of_answers_over_grpc_web(envoy: str, kind: str, message: bytes, first: bytes) -> None:
    """A stream of answers in bytes and in base64: Watch says SERVING while the call is open."""
    headers = {"content-type": kind, "accept": kind}
    request = urllib.request.Request(f"http://{envoy}/grpc.health.v1.Health/Watch", message, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["content-type"].startswith(kind)
        assert answer.read(len(first)) == first


@pytest.mark.web
def test_javascript(address: str) -> None:
    """The version, the width, the first row's probabilities."""
    packages = Path(__file__).with_name("node_modules")
    printed = run(["node", "-e"], example("From JavaScript", "js", address), NODE_PATH=str(packages))
    version, width, rest = printed.split(maxsplit=2)
    assert (version, width) == ("1", str(CLASSES))
    numbers = np.array(re.findall(r"\d\.\d+", rest), np.float32)
    np.testing.assert_allclose(numbers, PROBABILITIES, atol=1e-6)
