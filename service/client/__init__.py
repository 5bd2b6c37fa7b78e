"""The client: `Client` and `AsyncClient` for Python, and the command kan-client. Needs numpy, grpcio and protobuf."""

from service.client.access import TLS
from service.client.answers import Ground, Health, ModelInfo, Prediction, UnknownCell
from service.client.async_client import AsyncClient
from service.client.client import Client
from service.client.errors import (
    ClientError,
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    NotFound,
    NotPublished,
    Overloaded,
    Unauthenticated,
    Unavailable,
)
from service.client.explanations import Explanation

__all__ = [
    "TLS",
    "AsyncClient",
    "Client",
    "ClientError",
    "DeadlineExceeded",
    "Explanation",
    "Forbidden",
    "Ground",
    "Health",
    "InvalidInput",
    "ModelInfo",
    "NotFound",
    "NotPublished",
    "Overloaded",
    "Prediction",
    "Unauthenticated",
    "Unavailable",
    "UnknownCell",
]
