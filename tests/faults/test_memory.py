"""Memory over many requests."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.faults

_WARM_UP, _REQUESTS = 15_000, 60_000
_MOST_GROWTH_BYTES = 4e6
_ROWS = np.array([[0, 1, 2, 0.5]], np.float32)


def test_memory_does_not_grow(
    kan_serve: Callable[..., Any], publish_version: Callable[..., Path], protocols: Any, graphs: Any
) -> None:
    """60,000 requests, unary in both protocols and on streams, leave at most 4 MB more than the 15,000 before them."""
    publish_version("kan")
    server = kan_serve()
    expected = graphs.answer("kan", _ROWS) + 1

    def check(values: Any) -> None:
        np.testing.assert_allclose(values, expected, atol=1e-4)

    async def unary(protocol: Any, requests: int) -> None:
        request = protocol.request("kan", _ROWS)
        async with server.channel() as channel:
            method = channel.unary_unary(protocol.path)
            for _ in range(requests):
                answer = await method(request, timeout=10)
            check(protocol.answer(answer)[2])

    async def stream(protocol: Any, requests: int) -> None:
        request = protocol.request("kan", _ROWS)
        async with server.channel() as channel:
            call = channel.stream_stream(protocol.stream_path)()
            for _ in range(requests // 16):
                for _ in range(16):
                    await call.write(request)
                for _ in range(16):
                    answer = await call.read()
            check(protocol.stream_answer(answer)[2])

    async def load(requests: int) -> None:
        """A third each; connections come and go too."""
        share = requests // 3 // 8
        await asyncio.gather(
            *(unary(protocol, share) for protocol in protocols for _ in range(8)),
            *(stream(protocols[0], share) for _ in range(8)),
        )

    asyncio.run(load(_WARM_UP))
    warm_bytes = server.resident_bytes()
    asyncio.run(load(_REQUESTS))
    answered = server.sample("kan_requests_total", code="OK")
    grown = server.resident_bytes() - warm_bytes
    assert grown <= _MOST_GROWTH_BYTES, (
        f"{grown / 1e6:.1f} MB more after {_REQUESTS} requests, {warm_bytes / 1e6:.1f} MB before them"
    )
    assert answered >= 0.99 * (_WARM_UP + _REQUESTS), f"{answered:g} requests were answered"
