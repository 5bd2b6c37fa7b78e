"""Calls of both protocols over an asyncio channel, with messages in and messages out."""

from collections.abc import Awaitable
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from numpy.typing import NDArray

from kan_api.v1 import prediction_pb2
from open_inference import grpc_predict_v2_pb2
from tests.kit.callers.tokens import bearer

Rows = NDArray[np.float32]


def matrix(rows: Rows) -> prediction_pb2.Matrix:
    """Rows as kan_api has them."""
    return prediction_pb2.Matrix(rows=rows.shape[0], columns=rows.shape[1], raw=rows.tobytes())


def ask(channel: grpc.aio.Channel, name: str, /, *, seconds: float | None = 60, token: str = "", **fields: Any) -> Any:
    """Call a method of PredictionService, as "GetModel"; keywords are the fields of the request.

    `token` is a name of `tests.kit.callers.tokens`; "" sends none.
    """
    return _call(channel, "kan_api.v1.PredictionService", prediction_pb2, name, seconds, token, fields)


def predict(
    channel: grpc.aio.Channel, model: str, rows: Rows | int = 1, *, seconds: float | None = 60, **fields: Any
) -> Any:
    """Call Predict with rows, or with so many rows of four ones; keywords are more fields of the request."""
    given = np.ones((rows, 4), np.float32) if isinstance(rows, int) else rows
    return ask(channel, "Predict", seconds=seconds, model=model, features=matrix(given), **fields)


def ask_inference(channel: grpc.aio.Channel, name: str, /, *, token: str = "", **fields: Any) -> Any:
    """Call a method of the Open Inference Protocol, as "ModelMetadata"; arguments are those of `ask`."""
    return _call(channel, "inference.GRPCInferenceService", grpc_predict_v2_pb2, name, 60, token, fields)


def infer(channel: grpc.aio.Channel, model: str, rows: Rows, **fields: Any) -> Any:
    """Call ModelInfer with rows; keywords are more fields of the request."""
    tensor = {"name": "x", "datatype": "FP32", "shape": rows.shape}
    raw = [rows.tobytes()]
    return ask_inference(channel, "ModelInfer", model_name=model, inputs=[tensor], raw_input_contents=raw, **fields)


async def failure_of(call: Awaitable[Any]) -> tuple[str, str]:
    """The name of the status and the message of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, caught.value.details() or ""


def _call(
    channel: grpc.aio.Channel,
    service: str,
    messages: Any,
    name: str,
    seconds: float | None,
    token: str,
    fields: dict[str, Any],
) -> Any:
    request = getattr(messages, f"{name}Request")(**fields)
    method: Any = channel.unary_unary(
        f"/{service}/{name}", type(request).SerializeToString, getattr(messages, f"{name}Response").FromString
    )
    return method(request, timeout=seconds, metadata=bearer(token) if token else None)
