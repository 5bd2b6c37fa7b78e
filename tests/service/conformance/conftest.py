"""One suite for every front end: a kan-serve process, and what its callers see."""

import asyncio
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

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
    """Reads the sum of samples of /metrics, 0 where there is none; call it with a server, a name and labels."""

    def read(server: Any, name: str, **labels: str) -> float:
        with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return sum(
            float(value)
            for found, value in re.findall(rf"^{name}\{{(.*?)\}} (\S+)$", text, re.MULTILINE)
            if set(re.findall(r'(\w+)="(.*?)"', found)) >= set(labels.items())
        )

    return read


@pytest.fixture
def until() -> Callable[..., Any]:
    """Waits until a condition holds; fails after 20 s."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - a process is asked
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def predict() -> Callable[..., Any]:
    """Sends rows of ones; call it with a channel, a model, rows=1, seconds=20, and fields of the request."""

    def call(channel: grpc.aio.Channel, model: str, rows: int = 1, seconds: float | None = 20, **fields: Any) -> Any:
        method: Any = channel.unary_unary(
            "/kan_api.v1.PredictionService/Predict", pb.PredictRequest.SerializeToString, pb.PredictResponse.FromString
        )
        features = pb.Matrix(rows=rows, columns=4, raw=np.ones((rows, 4), np.float32).tobytes())
        return method(pb.PredictRequest(model=model, features=features, **fields), timeout=seconds)

    return call
