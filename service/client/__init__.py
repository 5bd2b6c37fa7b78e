"""The client: `Client` and `AsyncClient` for Python, and the command kan-client. Needs numpy, grpcio and protobuf."""

from service.client.answers import Ground, Health, ModelInfo, Prediction, UnknownCell
from service.client.async_client import AsyncClient
from service.client.client import Client
from service.client.errors import (
    ClientError,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    Overloaded,
    Unavailable,
)

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "DeadlineExceeded",
    "Ground",
    "Health",
    "InvalidInput",
    "ModelInfo",
    "NotFound",
    "Overloaded",
    "Prediction",
    "Unavailable",
    "UnknownCell",
]
