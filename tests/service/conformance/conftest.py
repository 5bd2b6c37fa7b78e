"""One suite for every front end: a kan-serve process, tested as its callers see it."""

import asyncio
import hashlib
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kan_api.v1 import prediction_pb2 as pb

FRONTENDS = ("grpcio", "envoy")


@pytest.fixture(params=FRONTENDS)
def frontend(request: pytest.FixtureRequest) -> str:
    """The front end under test."""
    return str(request.param)


@pytest.fixture
def start(kan_serve: Callable[..., Any], frontend: str) -> Callable[..., Any]:
    """Starts kan-serve on `models` with the front end under test; arguments are more flags."""
    return lambda *flags: kan_serve("--frontend", frontend, *flags)


@pytest.fixture
def sample() -> Callable[..., float]:
    """Reads the sum of the samples in /metrics, 0 if there are none. Call it with a server, a name and labels."""

    def read(server: Any, name: str, **labels: str) -> float:
        with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        return sum(
            float(value)
            for found, value in re.findall(rf"^{name}\{{(.*?)\}} (\S+)$", text, re.MULTILINE)
            if set(re.findall(r'(\w+)="(.*?)"', found)) >= set(labels.items())
        )

    return read


@pytest.fixture
def until() -> Callable[..., Any]:
    """Waits until a condition holds; fails after a minute."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - a process is asked
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def predict() -> Callable[..., Any]:
    """Sends rows of ones; call it with a channel, a model, rows=1, seconds=60, and fields of the request."""

    def call(channel: grpc.aio.Channel, model: str, rows: int = 1, seconds: float | None = 60, **fields: Any) -> Any:
        method: Any = channel.unary_unary(
            "/kan_api.v1.PredictionService/Predict", pb.PredictRequest.SerializeToString, pb.PredictResponse.FromString
        )
        features = pb.Matrix(rows=rows, columns=4, raw=np.ones((rows, 4), np.float32).tobytes())
        return method(pb.PredictRequest(model=model, features=features, **fields), timeout=seconds)

    return call


@pytest.fixture
def write_endless(write_model: Callable[..., Path]) -> Callable[..., None]:
    """Writes the model "endless", whose run never returns where the first feature is 3; call it with wide=False.

    A wide one runs in a thread, the other one on the event loop.
    """

    def write(wide: bool = False) -> None:
        data = _endless_graph(wide)

        def change(manifest: Any) -> None:
            (file,) = manifest.files
            file.sha256, file.size_bytes = hashlib.sha256(data).hexdigest(), len(data)

        (write_model("affine", name="endless", change=change) / "model.onnx").write_bytes(data)

    return write


def _endless_graph(wide: bool) -> bytes:
    """4 features, one output: the first feature; where that is above 2.5 a loop of 2^62 rounds comes first.

    A wide one multiplies large matrices before, so that its runs are too long for the event loop.
    """
    scalar: list[str | int | None] = []
    rows: list[str | int | None] = ["rows", 4]
    column: list[str | int | None] = ["rows", 1]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["value"], ["same"])],
        "round",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, scalar),
            helper.make_tensor_value_info("go", TensorProto.BOOL, scalar),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, column),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, scalar),
            helper.make_tensor_value_info("same", TensorProto.FLOAT, column),
        ],
    )
    constants = {"limit": np.float32(2.5), "many": 2**62, "from": [0], "to": [1], "axis": [1], "none": np.float32(0)}
    nodes = [
        helper.make_node("Greater", ["x", "limit"], ["above"]),
        helper.make_node("Cast", ["above"], ["flags"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["flags"], ["flag"], keepdims=0),
        helper.make_node("Mul", ["flag", "many"], ["rounds"]),
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["first"]),
        helper.make_node("Loop", ["rounds", "", "first"], ["looped"], body=body),
        helper.make_node("Mul", ["wide" if wide else "looped", "none"], ["nothing"]),
        helper.make_node("Add", ["looped", "nothing"], ["y"]),
    ]
    if wide:
        share = numpy_helper.from_array(np.array([1 / 2048], np.float32))
        constants |= {"shape": [4, 2048], "square": [2048, 2048], "last": [2048, 1]}
        mixes = [
            helper.make_node("ConstantOfShape", [shape], [mix], value=share)
            for shape, mix in (("shape", "mix0"), ("square", "mix1"), ("square", "mix2"), ("last", "mix3"))
        ]
        names = ["x", "wide0", "wide1", "wide2", "wide"]
        products = [
            helper.make_node("MatMul", [names[each], f"mix{each}"], [names[each + 1]]) for each in range(len(mixes))
        ]
        nodes = [*mixes, *products, *nodes]
    graph = helper.make_graph(
        nodes,
        "endless",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, rows)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, column)],
        [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()
