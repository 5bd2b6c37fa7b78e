"""The client: `Client` and `AsyncClient` for Python, and the command kan-client. Needs numpy, grpcio and protobuf."""

from service.client.answers import Ground, Health, ModelInfo, Prediction, UnknownCell
from service.client.async_client import AsyncClient
from service.client.client import Client
from service.client.errors import (
    ClientError,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    NotPublished,
    Overloaded,
    Unavailable,
)
from service.client.explanations import Explanation

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "DeadlineExceeded",
    "Explanation",
    "Ground",
    "Health",
    "InvalidInput",
    "ModelInfo",
    "NotFound",
    "NotPublished",
    "Overloaded",
    "Prediction",
    "Unavailable",
    "UnknownCell",
]
