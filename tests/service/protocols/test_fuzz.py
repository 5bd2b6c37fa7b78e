import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kan_api.v1 import prediction_pb2
from open_inference import grpc_predict_v2_pb2
from tests.kit.models.attributions import add_attribution
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Serving

_PREDICTION = "/kan_api.v1.PredictionService/"
_INFERENCE = "/inference.GRPCInferenceService/"
_PATHS = [
    *(_PREDICTION + name for name in ("Predict", "Explain", "ListModels", "GetModel")),
    *(
        _INFERENCE + name
        for name in (
            "ServerLive",
            "ServerReady",
            "ModelReady",
            "ServerMetadata",
            "ModelMetadata",
            "ModelInfer",
            "ModelConfig",
            "ModelStatistics",
            "RepositoryIndex",
            "RepositoryModelLoad",
            "RepositoryModelUnload",
            "TraceSetting",
        )
    ),
    "/grpc.health.v1.Health/Check",
]
_SEEDS = [
    prediction_pb2.PredictRequest(
        model="affine", features=prediction_pb2.Matrix(rows=1, columns=4, raw=np.ones(4, np.float32).tobytes())
    ),
    prediction_pb2.PredictRequest(model="affine", features=prediction_pb2.Matrix(rows=1, columns=4, values=[1] * 4)),
    prediction_pb2.ExplainRequest(
        model="affine",
        features=prediction_pb2.Matrix(rows=2, columns=4, values=[1] * 8),
        reference=prediction_pb2.Matrix(rows=1, columns=4, raw=np.ones(4, np.float32).tobytes()),
    ),
    prediction_pb2.GetModelRequest(model="affine", version=1),
    grpc_predict_v2_pb2.ModelInferRequest(
        model_name="affine",
        inputs=[{"name": "x", "datatype": "FP32", "shape": [1, 4], "contents": {"fp32_contents": [1] * 4}}],
    ),
    grpc_predict_v2_pb2.ModelInferRequest(
        model_name="affine",
        inputs=[{"name": "x", "datatype": "FP64", "shape": [1, 4]}],
        outputs=[{"name": "y"}],
        raw_input_contents=[np.ones(4).tobytes()],
    ),
    grpc_predict_v2_pb2.ModelMetadataRequest(name="affine", version="1"),
    health_pb2.HealthCheckRequest(service="affine"),
]


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A message that is right but for a few bytes, cut somewhere or with something put in."""
    seed: Message = draw(st.sampled_from(_SEEDS))
    data = bytearray(seed.SerializeToString())
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        data[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(data)


@pytest.fixture
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One repository for all examples of a test."""
    return tmp_path_factory.mktemp("models")


def test_no_bytes_are_internal(serving: Serving, write_model: WriteModel) -> None:
    """For any bytes to any method, the status is never INTERNAL or UNKNOWN, and the server answers afterwards."""
    add_attribution(write_model("affine"))

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.sampled_from(_PATHS), st.binary(max_size=64) | _mutated()), max_size=20))
    def throw(calls: list[tuple[str, bytes]]) -> None:
        answers = runner.run(_all(channel, calls))
        codes = {one.code().name for one in answers if isinstance(one, grpc.aio.AioRpcError)}
        # UNIMPLEMENTED: loading, which is not allowed here, and tracing.
        # FAILED_PRECONDITION: unknown ground, of a version without histograms.
        assert codes <= {"INVALID_ARGUMENT", "NOT_FOUND", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "FAILED_PRECONDITION"}

    with asyncio.Runner() as runner:
        context = serving(max_request_rows=64, poll_seconds=0)  # else each name that is unknown waits for a look
        _, channel = runner.run(context.__aenter__())
        try:
            throw()
            alive = runner.run(_all(channel, [(_PREDICTION + "Predict", _SEEDS[0].SerializeToString())]))
            assert isinstance(alive[0], bytes)
        finally:
            runner.run(context.__aexit__(None, None, None))


async def _all(channel: grpc.aio.Channel, calls: list[tuple[str, bytes]]) -> list[Any]:
    """The answers to many calls at once, errors as they are."""
    methods: list[Any] = [channel.unary_unary(path) for path, _ in calls]
    return await asyncio.gather(
        *(method(data, timeout=60) for method, (_, data) in zip(methods, calls, strict=True)), return_exceptions=True
    )
