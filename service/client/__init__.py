"""The client: `Client` and `AsyncClient` for Python, and the command kan-client. Needs numpy, grpcio and protobuf.

The names are loaded at the first use of one of them, so that kan-client can set up gRPC before it is imported.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = ("access", "answers", "async_client", "client", "errors", "explanations")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in [importlib.import_module(f"{__name__}.{home}") for home in _HOMES]:
            if hasattr(module, name):
                globals()[name] = getattr(module, name)
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
