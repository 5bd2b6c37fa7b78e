"""Five times as many requests as the server can take, whether or not it answers."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from tests.kit.callers.protocols import PROTOCOLS, KanApi
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import Start

pytestmark = pytest.mark.faults

_REQUEST_ROWS = 64
_BATCH_ROWS = 128
_QUEUE_ROWS = 1024
# What the queue holds, and a batch beside it where one is formed before the queue is full.
_FEWEST_TAKEN, _MOST_TAKEN = _QUEUE_ROWS // _REQUEST_ROWS, (_BATCH_ROWS + _QUEUE_ROWS) // _REQUEST_ROWS
_REQUESTS = 5 * _MOST_TAKEN
_WARM_UP_ROUNDS, _ROUNDS = 10, 20
_ROWS = np.tile(np.array([[0, 1, 2, 0.5]], np.float32), (_REQUEST_ROWS, 1))


def test_five_times_what_the_queue_holds_is_shed_and_the_rest_answered(
    gate: Gate, kan_serve: Start, publish_version: Callable[..., Path], graphs: Any
) -> None:
    """While the model is held, requests beyond the bound are told so, and when to come again; the others are answered.

    At once: no run ends meanwhile, so that nobody is told by a queue that moves. On four connections and in both
    protocols, round after round; memory stays what it was after the warm-up.
    """
    publish_version("slow")
    flags = {"queue": _QUEUE_ROWS, "request": _REQUEST_ROWS, "batch": _BATCH_ROWS}
    server = kan_serve(*(word for name, rows in flags.items() for word in (f"--max-{name}-rows", str(rows))))
    expected = graphs.answer("slow", _ROWS) + 1

    async def overload(rounds: int) -> None:
        channels = [server.channel() for _ in range(4)]
        methods = [(channel.unary_unary(each.path), each) for channel in channels for each in PROTOCOLS]
        for _ in range(rounds):
            await overload_once(methods)
        await asyncio.gather(*(channel.close() for channel in channels))

    async def overload_once(methods: list[tuple[Any, Any]]) -> None:
        with gate.closed():
            calls = [
                asyncio.ensure_future(method(protocol.request("slow", _ROWS), timeout=100))
                for method, protocol in (methods[number % len(methods)] for number in range(_REQUESTS))
            ]
            while sum(call.done() for call in calls) < _REQUESTS - _MOST_TAKEN:
                await asyncio.wait([call for call in calls if not call.done()], return_when=asyncio.FIRST_COMPLETED)
            shed = [call for call in calls if call.done()]
            assert await asyncio.to_thread(server.sample, "kan_queue_rows") <= _QUEUE_ROWS
            for call in shed:
                told = call.exception()
                assert isinstance(told, grpc.aio.AioRpcError), told
                pause = str(dict(told.trailing_metadata() or ()).get("grpc-retry-pushback-ms"))
                assert told.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, told
                assert re.fullmatch("[1-9][0-9]{0,4}", pause), f"grpc-retry-pushback-ms is {pause}: {told.details()}"
        ended = await asyncio.gather(*calls, return_exceptions=True)
        answers = [
            methods[number % len(methods)][1].answer(answer)[2]
            for number, answer in enumerate(ended)
            if not isinstance(answer, BaseException)
        ]
        assert _FEWEST_TAKEN <= len(answers) <= _MOST_TAKEN
        for values in answers:
            np.testing.assert_allclose(values, expected, rtol=1e-4)

    async def learn() -> None:
        """A first run tells the server how long a row takes: before it no pause can be told."""
        async with server.channel() as channel:
            await channel.unary_unary(KanApi.path)(KanApi.request("slow", _ROWS), timeout=100)

    asyncio.run(learn())
    asyncio.run(overload(_WARM_UP_ROUNDS))
    warm_bytes = server.resident_bytes()
    asyncio.run(overload(_ROUNDS))
    grown = server.resident_bytes() - warm_bytes
    assert grown <= 4e6, f"memory grew by {grown / 1e6:.1f} MB after the warm-up"
    assert server.is_ready()
