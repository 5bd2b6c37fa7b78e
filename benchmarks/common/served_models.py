"""The models that the serving benchmark serves, requests for them, and onnxruntime's answers to these."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.common.load_job import Exchange
from benchmarks.common.sessions import Rows, open_session
from kan_api.v1 import manifest_pb2, prediction_pb2
from kan_model import KAN, KANConfig
from kan_model.lowering import lower
from kan_model.lowering.attribution import attribution_model
from open_inference import grpc_predict_v2_pb2 as inference_pb2
from training.publishing.message.histogram import histogram
from training.publishing.publish import publish

NAME = "kan"
PREDICT = "/kan_api.v1.PredictionService/Predict"
EXPLAIN = "/kan_api.v1.PredictionService/Explain"
PREDICT_STREAM = "/kan_api.v1.PredictionService/PredictStream"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
_WIDTH = (16, 32, 4)
# The weights are too large for the cache, so a single row waits for memory and a batch shares the wait. The sines add
# a cost per row.
_SLOW_WIDTH, _SLOW_LAYERS, _SLOW_SINES = 512, 28, 8

_TRAINING_ROWS = 2000


@dataclass(frozen=True)
class ServedModel:
    """A model in a repository of its own.

    Args:
        repository: The folder for kan-serve.
        path: The model.onnx in it.
    """

    repository: Path
    path: Path

    @cached_property
    def _session(self) -> object:
        return open_session(self.path.read_bytes())

    def answer(self, rows: Rows) -> bytes:
        """The right answer to these rows, from onnxruntime."""
        (prediction,) = self._session.run(None, {"features": rows})  # type: ignore[attr-defined]
        return np.ascontiguousarray(prediction, "<f4").tobytes()

    def contributions(self, rows: Rows) -> bytes:
        """The right contributions to the first output, compared with a row of zeros, from onnxruntime."""
        session = open_session(self.path.with_name("attribution.onnx").read_bytes())
        found, *_ = session.run(None, {"features": rows, "reference": np.zeros((1, rows.shape[1]), np.float32)})
        return np.ascontiguousarray(found[:, 0], "<f4").tobytes()

    def exchanges(self, form: str, rows: int, count: int) -> tuple[Exchange, ...]:
        """`count` different requests of `rows` rows in the form "predict", "explain", "infer" or "stream", answered."""
        generator = np.random.default_rng(rows)
        batches = generator.uniform(-1, 1, (count, rows, _WIDTH[0])).astype(np.float32)
        encode = {"infer": _infer, "explain": _explain}.get(form, _predict)
        answer = self.contributions if form == "explain" else self.answer
        return tuple(Exchange(encode(batch, str(number)), answer(batch)) for number, batch in enumerate(batches))

    def row_seconds(self, rows: int) -> float:
        """Processor time per row in a run of `rows` rows, from the fastest of several runs."""
        batch = np.random.default_rng(rows).uniform(-1, 1, (rows, _WIDTH[0])).astype(np.float32)
        times = []
        for _ in range(30):
            began = time.thread_time()
            self.answer(batch)
            times.append(time.thread_time() - began)
        return min(times) / rows


def small(folder: Path) -> ServedModel:
    """A [16,32,4] KAN with random weights, tuned on this machine, with its attribution.onnx."""
    kan = KAN(KANConfig(_WIDTH, grid_size=8), seed=0)
    lowered = lower(kan)
    attribution = attribution_model(kan, None, None, range(_WIDTH[0]))
    return _publish(folder, lowered.model, lowered.preferred_rows, lowered.strategies, attribution)


def slow(folder: Path) -> ServedModel:
    """A chain of linear maps and sines: about 900 µs for one row, less than half of that per row in a batch of 32."""
    generator = np.random.default_rng(0)
    weights, nodes, name = [], [], "features"
    sizes = (_WIDTH[0], *[_SLOW_WIDTH] * _SLOW_LAYERS, _WIDTH[-1])
    for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
        matrix = (generator.normal(size=(inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)
        weights.append(numpy_helper.from_array(matrix, f"weights_{layer}"))
        last = layer == len(sizes) - 2
        nodes.append(helper.make_node("MatMul", [name, f"weights_{layer}"], ["prediction" if last else f"x_{layer}"]))
        name = f"x_{layer}"
        for sine in range(0 if last else _SLOW_SINES):
            nodes.append(helper.make_node("Sin", [name], [f"x_{layer}_{sine}"]))
            name = f"x_{layer}_{sine}"
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", _WIDTH[0]])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows", _WIDTH[-1]])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return _publish(folder, model, preferred_rows=0)


def _publish(
    folder: Path,
    model: onnx.ModelProto,
    preferred_rows: int,
    strategies: Sequence[str] = (),
    attribution: onnx.ModelProto | None = None,
) -> ServedModel:
    manifest = manifest_pb2.ModelManifest(
        name=NAME,
        task=manifest_pb2.TASK_REGRESSION,
        inputs=[manifest_pb2.TensorSpec(name="features", datatype="FP32", shape=[-1, _WIDTH[0]])],
        outputs=[manifest_pb2.TensorSpec(name="prediction", datatype="FP32", shape=[-1, _WIDTH[-1]])],
        columns=[manifest_pb2.Column(name=f"x{i}") for i in range(_WIDTH[0])],
        features=[manifest_pb2.Feature(name=f"x{i}", column=f"x{i}", low=-1, high=1) for i in range(_WIDTH[0])],
        preferred_rows=preferred_rows,
        lowering=manifest_pb2.Lowering(strategies=strategies),
    )
    files = {"model.onnx": model.SerializeToString()}
    if attribution is not None:
        files["attribution.onnx"] = attribution.SerializeToString()
        manifest.attribution_graph.CopyFrom(
            manifest_pb2.AttributionGraph(
                reference=[0.0] * _WIDTH[0], columns=[column.name for column in manifest.columns], max_rows=4096
            )
        )
    _describe_training(manifest, model)
    publish(folder, manifest, lambda _: files)
    return ServedModel(folder, folder / NAME / "1" / "model.onnx")


def _describe_training(manifest: manifest_pb2.ModelManifest, model: onnx.ModelProto) -> None:
    """Histograms of rows that are distributed as the requests', and of the answers to them: servers count into them."""
    rows = np.random.default_rng(0).uniform(-1, 1, (_TRAINING_ROWS, _WIDTH[0])).astype(np.float32)
    (answers,) = open_session(model.SerializeToString()).run(None, {"features": rows})
    manifest.data.train_rows = _TRAINING_ROWS
    for feature, column in zip(manifest.features, rows.T, strict=True):
        feature.histogram.CopyFrom(histogram(column.astype(np.float64)))
    manifest.answers.extend(histogram(column) for column in answers.T.astype(np.float64))


def _predict(rows: Rows, identity: str) -> bytes:
    matrix = prediction_pb2.Matrix(rows=len(rows), columns=rows.shape[1], raw=rows.tobytes())
    return prediction_pb2.PredictRequest(model=NAME, features=matrix, id=identity).SerializeToString()


def _explain(rows: Rows, identity: str) -> bytes:
    matrix = prediction_pb2.Matrix(rows=len(rows), columns=rows.shape[1], raw=rows.tobytes())
    return prediction_pb2.ExplainRequest(model=NAME, features=matrix, id=identity).SerializeToString()


def _infer(rows: Rows, identity: str) -> bytes:
    tensor = inference_pb2.ModelInferRequest.InferInputTensor(name="features", datatype="FP32", shape=rows.shape)
    return inference_pb2.ModelInferRequest(
        model_name=NAME, id=identity, inputs=[tensor], raw_input_contents=[rows.tobytes()]
    ).SerializeToString()
