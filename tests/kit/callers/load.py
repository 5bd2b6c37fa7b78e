"""Callers that ask without a pause and never try again, and what became of their calls."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from tests.kit.callers.protocols import KanApi


@dataclass
class Load:
    """What became of calls."""

    answered: int = 0
    slowest_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


@contextmanager
def connected(address: str, trusted: bytes | None = None) -> Iterator[Any]:
    """Predict over a connection of its own, which never tries anything again; with an authority over TLS."""
    options = [
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_send_message_length", -1),
    ]
    with ExitStack() as stack:
        if trusted is None:
            channel = stack.enter_context(grpc.insecure_channel(address, options))
        else:
            credentials = grpc.ssl_channel_credentials(trusted)
            channel = stack.enter_context(grpc.secure_channel(address, credentials, options))
        yield channel.unary_unary(KanApi.path)


@contextmanager
def calling(address: str, request: bytes, callers: int = 4, trusted: bytes | None = None) -> Iterator[Load]:
    """Have callers send a request without a pause until the block ends; with an authority over TLS."""
    found, over, lock = Load(), threading.Event(), threading.Lock()

    def call() -> None:
        with connected(address, trusted) as predict:
            while not over.is_set():
                began = time.monotonic()
                try:
                    predict(request, timeout=30)
                except grpc.RpcError as error:
                    with lock:
                        found.failures.append(f"{error.code().name}: {error.details()}")
                    # A connection that is refused is asked for again without a pause.
                    over.wait(0.05)
                else:
                    with lock:
                        found.answered += 1
                        found.slowest_seconds = max(found.slowest_seconds, time.monotonic() - began)

    with ThreadPoolExecutor(callers) as pool:
        calls = [pool.submit(call) for _ in range(callers)]
        try:
            yield found
        finally:
            over.set()
    for each in calls:
        each.result()
