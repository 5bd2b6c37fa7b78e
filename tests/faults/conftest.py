"""Models whose right answers are known, a server of them as a process of its own, and how both protocols ask it."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import onnx
import psutil
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from prometheus_client.parser import text_string_to_metric_families

from kan_api.v1 import manifest_pb2, prediction_pb2
from kan_model import KAN, KANConfig
from kan_model.lowering import lower
from open_inference import grpc_predict_v2_pb2
from training.publishing.publish import publish

# Every test of this folder runs once with each.
FRONTENDS = ["grpcio", "envoy"]

Rows = NDArray[np.float32]

_FEATURES = 4
_SLOW_TURNS = 32768
_TABLE = np.array([10, 20, 30, 40], np.float32)


@dataclass(frozen=True)
class Graphs:
    """Graphs of 4 features and one output, by kind, and their right answers.

    "kan": a small network, lowered. "slow": the mean the long way round, some ten milliseconds a run; the fixture
    `gate` holds it for longer. "picky": looks the first feature up in a table of 4, and the run fails where it is none
    of 0, 1, 2, 3.
    """

    kan: KAN
    by_kind: dict[str, onnx.ModelProto]

    def answer(self, kind: str, rows: Rows) -> NDArray[np.float64]:
        """The right answers to some rows, one a row: by torch in float64, or by numpy."""
        if kind == "kan":
            with torch.no_grad():
                return np.asarray(self.kan(torch.from_numpy(rows.astype(np.float64))).numpy()[:, 0])
        return np.asarray(rows.mean(axis=1) if kind == "slow" else _TABLE[rows[:, 0].astype(int)], np.float64)

    def shifted(self, kind: str, plus: float) -> bytes:
        """A graph whose answers are those of its kind plus a number."""
        model = onnx.ModelProto()
        model.CopyFrom(self.by_kind[kind])
        for node in model.graph.node:
            node.output[:] = ["unshifted" if name == "prediction" else name for name in node.output]
        model.graph.node.append(helper.make_node("Add", ["unshifted", "plus"], ["prediction"]))
        model.graph.initializer.append(numpy_helper.from_array(np.array([plus], np.float32), "plus"))
        onnx.checker.check_model(model)
        return model.SerializeToString()


@pytest.fixture(scope="session")
def graphs() -> Graphs:
    """Every kind of graph, made once."""
    kan = KAN(KANConfig((_FEATURES, 8, 1), grid_size=8), seed=0)
    lowered = lower(kan).model
    names = {lowered.graph.input[0].name: "features", lowered.graph.output[0].name: "prediction"}
    for node in lowered.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    lowered.graph.input[0].name, lowered.graph.output[0].name = "features", "prediction"
    return Graphs(kan.double(), {"kan": lowered, "slow": _slow(), "picky": _picky()})


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """An empty model repository."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def publish_version(models: Path, graphs: Graphs) -> Callable[..., Path]:
    """Publishes the next version of a kind's model and gives its folder.

    Call it with kind, models=None (another repository) and padding_bytes=0 (of a file more). Answers are those of the
    kind plus the version's number.
    """

    def publish_kind(kind: str, repository: Path | None = None, padding_bytes: int = 0) -> Path:
        names = [f"x{index}" for index in range(_FEATURES)]
        manifest = manifest_pb2.ModelManifest(
            name=kind,
            task=manifest_pb2.TASK_REGRESSION,
            inputs=[manifest_pb2.TensorSpec(name="features", datatype="FP32", shape=[-1, _FEATURES])],
            outputs=[manifest_pb2.TensorSpec(name="prediction", datatype="FP32", shape=[-1, 1])],
            columns=[manifest_pb2.Column(name=name) for name in names],
            features=[manifest_pb2.Feature(name=name, column=name, low=0, high=2) for name in names],
        )

        def files(version: int) -> dict[str, bytes]:
            padding = {"padding": bytes(padding_bytes)} if padding_bytes else {}
            return {"model.onnx": graphs.shifted(kind, version), **padding}

        return publish(repository or models, manifest, files).folder

    return publish_kind


class KanApi:
    """kan_api.v1: how rows are asked for, and what an answer says as (key, version, values)."""

    path = "/kan_api.v1.PredictionService/Predict"
    stream_path = "/kan_api.v1.PredictionService/PredictStream"

    @staticmethod
    def request(model: str, rows: Rows, key: str = "") -> bytes:
        matrix = prediction_pb2.Matrix(rows=rows.shape[0], columns=rows.shape[1], raw=rows.tobytes())
        return prediction_pb2.PredictRequest(id=key, model=model, features=matrix).SerializeToString()

    @staticmethod
    def answer(data: bytes) -> tuple[str, int, Rows]:
        return _prediction(prediction_pb2.PredictResponse.FromString(data))

    @staticmethod
    def stream_answer(data: bytes) -> tuple[str, int, Rows] | tuple[str, str, str]:
        """As `answer`; (key, code, message) where the request failed."""
        message = prediction_pb2.PredictStreamResponse.FromString(data)
        if message.WhichOneof("result") == "prediction":
            return _prediction(message.prediction)
        codes = {code.value[0]: code.name for code in grpc.StatusCode}
        return message.id, codes[message.failure.code], message.failure.message


class OpenInference:
    """The Open Inference Protocol, likewise."""

    path = "/inference.GRPCInferenceService/ModelInfer"

    @staticmethod
    def request(model: str, rows: Rows, key: str = "") -> bytes:
        return grpc_predict_v2_pb2.ModelInferRequest(
            id=key,
            model_name=model,
            inputs=[{"name": "features", "datatype": "FP32", "shape": rows.shape}],
            raw_input_contents=[rows.tobytes()],
        ).SerializeToString()

    @staticmethod
    def answer(data: bytes) -> tuple[str, int, Rows]:
        message = grpc_predict_v2_pb2.ModelInferResponse.FromString(data)
        return message.id, int(message.model_version), np.frombuffer(message.raw_output_contents[0], "<f4")


@pytest.fixture(scope="session")
def protocols() -> tuple[type[KanApi], type[OpenInference]]:
    """Both protocols; the first has a stream as well."""
    return KanApi, OpenInference


@dataclass(frozen=True)
class Server:
    """A kan-serve process, and those that it started, from outside."""

    process: "subprocess.Popen[str]"
    grpc: str
    http: str
    log: Path
    frontend: str
    # Of a connection of its own, on which nothing is repeated.
    options = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))

    def channel(self) -> Any:  # `grpc` is an address in this class
        """A new connection."""
        return grpc.aio.insecure_channel(self.grpc, options=self.options)

    def sample(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples that have these labels."""
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=90) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def ready(self) -> bool:
        """What /readyz says."""
        try:
            with urllib.request.urlopen(f"http://{self.http}/readyz", timeout=90):
                return True
        except urllib.error.HTTPError:
            return False

    def processes(self) -> list[psutil.Process]:
        """Its process and all that descend from it."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def resident_bytes(self) -> int:
        """Memory of all its processes."""
        return sum(process.memory_info().rss for process in self.processes())

    def open_files(self) -> int:
        """File descriptors of all its processes."""
        return sum(process.num_fds() for process in self.processes())

    def stop(self, seconds: float = 90) -> tuple[int, str]:
        """Tell it to stop and wait for its end: exit code and log."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        return code, self.log.read_text()


@pytest.fixture(params=FRONTENDS)
def kan_serve(request: pytest.FixtureRequest, models: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts kan-serve on `models`; arguments are more flags, keywords more environment variables."""
    frontend = [] if request.param == FRONTENDS[0] else ["--frontend", request.param]
    started: list[Server] = []

    def start(*flags: str, **environment: str) -> Server:
        log = tmp_path / f"server{len(started)}.log"
        command = [sys.executable, "-m", "service.cli", "--models", str(models), "--grpc-port", "0", "--http-port", "0"]
        with log.open("w") as file:
            process = subprocess.Popen(
                [*command, *frontend, *flags],
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env={**os.environ, "ORT_DISABLE_TELEMETRY": "1", **environment},
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("kan-serve ready: "):
            process.kill()
            process.communicate()
            pytest.fail(f"kan-serve said {line!r}, and {log.read_text()!r} in its log")
        words = dict(word.split("=") for word in line.split()[2:])
        started.append(Server(process, words["grpc"], words["http"], log, request.param))
        return started[-1]

    yield start
    for server in started:
        for process in server.processes() if server.process.poll() is None else []:
            with suppress(psutil.NoSuchProcess):  # a child ends with its parent
                process.kill()
        server.process.communicate()


def _prediction(message: prediction_pb2.PredictResponse) -> tuple[str, int, Rows]:
    return message.id, message.version, np.frombuffer(message.outputs[0].values.raw, "<f4")


def _model(name: str, nodes: list[Any], constants: list[TensorProto]) -> onnx.ModelProto:
    rows_in = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", _FEATURES])
    rows_out = helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows", 1])
    graph = helper.make_graph(nodes, name, [rows_in], [rows_out], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _slow() -> onnx.ModelProto:
    """The mean, negated an even number of times in turn: on no machine in the 2 ms that the event loop allows."""
    go = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    going = helper.make_tensor_value_info("going", TensorProto.BOOL, [])
    turn = helper.make_tensor_value_info("turn", TensorProto.INT64, [])
    value, negative = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("value", "negative"))
    steps = [helper.make_node("Identity", ["go"], ["going"]), helper.make_node("Neg", ["value"], ["negative"])]
    body = helper.make_graph(steps, "turn", [turn, go, value], [going, negative])
    nodes = [
        helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1]),
        helper.make_node("Loop", ["turns", "", "mean"], ["prediction"], body=body),
    ]
    return _model("slow", nodes, [numpy_helper.from_array(np.array(_SLOW_TURNS), "turns")])


def _picky() -> onnx.ModelProto:
    """A table looked up: onnxruntime fails a run whose index is outside."""
    constants = [
        numpy_helper.from_array(np.array(value), name) for name, value in (("from", [0]), ("to", [1]), ("axis", [1]))
    ]
    nodes = [
        helper.make_node("Slice", ["features", "from", "to", "axis"], ["first"]),
        helper.make_node("Cast", ["first"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["prediction"]),
    ]
    return _model("picky", nodes, [*constants, numpy_helper.from_array(_TABLE, "table")])
