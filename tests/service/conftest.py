"""A model repository of small ONNX graphs whose right answers are known in numpy."""

import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc.aio
import numpy as np
import onnx
import pytest
from google.protobuf import json_format
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kan_api.v1 import manifest_pb2

if TYPE_CHECKING:
    from service.process.server import Server

Floats = NDArray[np.float32]

_WEIGHTS = (np.arange(12, dtype=np.float32).reshape(4, 3) - 5.5) / 4
_BIAS = np.array([0.5, -1.0, 2.0], np.float32)
_IMPUTED = np.array([1.0, -2.0], np.float32)
_SLOW_TURNS = 32768


def _affine_answer(rows: Floats) -> Floats:
    """The product x · w + b, four features, one output."""
    return np.asarray(rows @ _WEIGHTS[:, :1] + _BIAS[:1], np.float32)


def _classifier_answer(rows: Floats) -> Floats:
    """Softmax of x · w + b, four features, three classes."""
    scores = rows @ _WEIGHTS + _BIAS
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _imputed_answer(rows: Floats) -> Floats:
    """Two features, NaN replaced by 1 and -2; their sum."""
    return np.asarray(np.where(np.isnan(rows), _IMPUTED, rows).sum(axis=1, keepdims=True), np.float32)


def _slow_answer(rows: Floats) -> Floats:
    """The mean of four features, the long way round."""
    return np.asarray(rows.mean(axis=1, keepdims=True), np.float32)


def _constant(name: str, values: NDArray[Any]) -> TensorProto:
    return numpy_helper.from_array(values.astype(np.float32), name)


def _affine_nodes(columns: int, output: str) -> tuple[list[Any], list[Any]]:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["xw"]), helper.make_node("Add", ["xw", "b"], [output])]
    return nodes, [_constant("w", _WEIGHTS[:, :columns]), _constant("b", _BIAS[:columns])]


def _classifier_nodes() -> tuple[list[Any], list[Any]]:
    nodes, constants = _affine_nodes(3, "scores")
    return [*nodes, helper.make_node("Softmax", ["scores"], ["y"], axis=1)], constants


def _imputed_nodes() -> tuple[list[Any], list[Any]]:
    nodes = [
        helper.make_node("IsNaN", ["x"], ["missing"]),
        helper.make_node("Where", ["missing", "fill", "x"], ["filled"]),
        helper.make_node("MatMul", ["filled", "ones"], ["y"]),
    ]
    return nodes, [_constant("fill", _IMPUTED), _constant("ones", np.ones((2, 1)))]


def _turning_nodes(turns: int) -> tuple[list[Any], list[Any]]:
    """The mean, negated an even number of times in turn; 32,768 take far more than the event loop's 2 ms."""
    turn = helper.make_tensor_value_info("turn", TensorProto.INT64, [])
    go, going = (helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("go", "going"))
    value, negative = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("value", "negative"))
    steps = [helper.make_node("Identity", ["go"], ["going"]), helper.make_node("Neg", ["value"], ["negative"])]
    body = helper.make_graph(steps, "turn", [turn, go, value], [going, negative])
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1]),
        helper.make_node("Loop", ["turns", "", "mean"], ["y"], body=body),
    ]
    return nodes, [numpy_helper.from_array(np.array(turns), "turns")]


@dataclass(frozen=True)
class _Kind:
    """One graph: its nodes, its widths and the right answer."""

    nodes: Callable[[], tuple[list[Any], list[Any]]]
    features: int
    outputs: int
    answer: Callable[[Floats], Floats]


_KINDS = {
    "affine": _Kind(lambda: _affine_nodes(1, "y"), 4, 1, _affine_answer),
    "classifier": _Kind(_classifier_nodes, 4, 3, _classifier_answer),
    "imputed": _Kind(_imputed_nodes, 2, 1, _imputed_answer),
    "slow": _Kind(lambda: _turning_nodes(_SLOW_TURNS), 4, 1, _slow_answer),
}


def _graph(kind_name: str) -> bytes:
    kind = _KINDS[kind_name]
    nodes, constants = kind.nodes()
    rows_in = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", kind.features])
    rows_out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", kind.outputs])
    graph = helper.make_graph(nodes, kind_name, [rows_in], [rows_out], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _manifest(kind_name: str, name: str, version: int, model_bytes: bytes) -> manifest_pb2.ModelManifest:
    kind = _KINDS[kind_name]
    classes = ["red", "green", "blue"] if kind_name == "classifier" else []
    features = [
        manifest_pb2.Feature(name=f"x{index}", column=f"x{index}", low=-1, high=3) for index in range(kind.features)
    ]
    if kind_name == "imputed":
        for feature, value in zip(features, _IMPUTED, strict=True):
            feature.imputed = float(value)
    return manifest_pb2.ModelManifest(
        name=name,
        version=version,
        created="2026-01-02T03:04:05Z",
        task=manifest_pb2.TASK_CLASSIFICATION if classes else manifest_pb2.TASK_REGRESSION,
        target="y",
        classes=classes,
        inputs=[manifest_pb2.TensorSpec(name="x", datatype="FP32", shape=[-1, kind.features])],
        outputs=[manifest_pb2.TensorSpec(name="y", datatype="FP32", shape=[-1, kind.outputs])],
        columns=[manifest_pb2.Column(name=feature.name) for feature in features],
        features=features,
        files=[
            manifest_pb2.File(
                name="model.onnx", sha256=hashlib.sha256(model_bytes).hexdigest(), size_bytes=len(model_bytes)
            )
        ],
    )


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """An empty model repository."""
    root = tmp_path / "models"
    root.mkdir()
    return root


@pytest.fixture
def write_model(models: Path) -> Callable[..., Path]:
    """Writes one version into `models` and gives its folder; call it with kind, version=1, name=kind, change=None.

    Kinds: "affine" (4 features -> 1), "classifier" (4 -> 3 probabilities), "imputed" (2 -> 1, NaN allowed), "slow"
    (4 -> 1, some ten milliseconds a run; the fixture `gate` holds it for longer). `change` may alter the
    manifest before it is written.
    """

    def write(
        kind: str,
        version: int = 1,
        name: str | None = None,
        change: Callable[[manifest_pb2.ModelManifest], object] | None = None,
    ) -> Path:
        model_bytes = _graph(kind)
        manifest = _manifest(kind, name or kind, version, model_bytes)
        if change is not None:
            change(manifest)
        folder = models / (name or kind) / str(version)
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(model_bytes)
        text = json_format.MessageToJson(
            manifest, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        (folder / "manifest.json").write_text(text)
        return folder

    return write


@pytest.fixture
def endless() -> Callable[[Path], None]:
    """Makes the runs of a version endless: its graph has a loop of 2^62 rounds. A halt can end them."""
    return _make_endless


def _make_endless(folder: Path) -> None:
    nodes, constants = _turning_nodes(2**62)
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])
    gives = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])
    graph = helper.make_graph(nodes, "endless", [given], [gives], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = [
        {"name": "model.onnx", "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    ]
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def move_weights() -> Callable[..., None]:
    """Moves the weights of a version out of its model.onnx; call it with its folder, file="weights.bin", listed=True.

    The file is written where it belongs, `location` says where the graph looks for it, and the manifest is brought in
    step; it lists the file only where `listed` is true.
    """

    def move(folder: Path, file: str = "weights.bin", *, location: str | None = None, listed: bool = True) -> None:
        model = onnx.load(folder / "model.onnx")
        weights = b""
        for tensor in model.graph.initializer:
            places = {"location": location or file, "offset": str(len(weights)), "length": str(len(tensor.raw_data))}
            for key, value in places.items():
                tensor.external_data.add(key=key, value=value)
            tensor.data_location = TensorProto.EXTERNAL
            weights += tensor.raw_data
            tensor.ClearField("raw_data")
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        (folder / file).write_bytes(weights)
        list_files(folder, "model.onnx", *[file] * listed)

    return move


def list_files(folder: Path, *names: str) -> None:
    """Have a version's manifest list these files as they are."""
    manifest = json_format.Parse((folder / "manifest.json").read_text(), manifest_pb2.ModelManifest())
    del manifest.files[:]
    for name in names:
        content = (folder / name).read_bytes()
        manifest.files.add(name=name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
    (folder / "manifest.json").write_text(json_format.MessageToJson(manifest, preserving_proto_field_name=True))


@pytest.fixture
def answer() -> Callable[[str, Floats], Floats]:
    """The right answer by numpy; call it with a kind of `write_model` and rows."""
    return lambda kind, rows: _KINDS[kind].answer(rows)


@asynccontextmanager
async def _serving(models: Path, settings: dict[str, Any]) -> AsyncIterator[tuple["Server", grpc.aio.Channel]]:
    from service.process.server import start
    from service.settings import Settings

    server = await start(Settings(**{"models": models, "grpc_port": 0, "http_port": 0, "grace_seconds": 5, **settings}))
    try:
        await server.load()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.front.port}") as channel:
            yield server, channel
    finally:
        await server.stop(grace_seconds=5)


@pytest.fixture
def serving(models: Path) -> Callable[..., AbstractAsyncContextManager[tuple["Server", grpc.aio.Channel]]]:
    """Gives a server of `models` and a channel to it; keywords are settings."""
    return lambda **settings: _serving(models, settings)


@pytest.fixture
def kan_serve(models: Path) -> Iterator[Callable[..., "KanServe"]]:
    """Starts kan-serve on `models` as a process, on free ports; arguments are more flags."""
    started: list[KanServe] = []

    def start(*flags: str) -> KanServe:
        started.append(KanServe.start(models, *flags))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@dataclass(frozen=True)
class KanServe:
    """A kan-serve process that has said it is ready."""

    process: "subprocess.Popen[str]"
    ready: str
    grpc: str
    http: str

    @classmethod
    def start(cls, models: Path, *flags: str) -> "KanServe":
        """Start one and wait for its line."""
        command = [sys.executable, "-m", "service.cli", "--models", str(models), "--grpc-port", "0", "--http-port", "0"]
        process = subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stderr is not None
        ready = process.stdout.readline()
        assert ready.startswith("kan-serve ready: "), ready + process.stderr.read()
        words = dict(word.split("=") for word in ready.split()[2:])
        return cls(process, ready, words["grpc"], words["http"])

    def finish(self, seconds: float = 60) -> tuple[int, str, str]:
        """Wait for its end. Gives the exit code, the rest of standard output, and standard error."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err

    def kill(self) -> None:
        """End it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
