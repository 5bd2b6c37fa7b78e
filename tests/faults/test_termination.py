"""SIGTERM while callers never pause."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from tests.kit.callers.protocols import PROTOCOLS, KanApi
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import Start
from tests.kit.waiting import until, until_elsewhere, wait_for

pytestmark = pytest.mark.faults

_CALLERS = 24  # of each protocol and model
_STREAMS, _IN_FLIGHT = 4, 32
_ROWS = np.array([[0, 1, 2, 3], [1, 2, 0, 1]] * 8, np.float32)


def test_a_stop_under_load_loses_nothing(
    gate: Gate, kan_serve: Start, publish_version: Callable[..., Path], graphs: Any
) -> None:
    """As many predictions are answered as were taken up, to the last one; all others are told UNAVAILABLE.

    Callers repeat nothing and leave at the first refusal. Predictions are held to this, unary and on streams, of a
    model on the event loop and of one in a thread, which the gate holds until the test has seen the stop. Other methods
    are not held to it. grpcio cancels calls that come in the very moment in which it stops: up to a quarter of those
    that were not taken up may be told CANCELLED instead.
    """
    publish_version("kan")
    publish_version("slow")
    # On a busy machine the drain takes longer than the usual grace period.
    server = kan_serve("--max-batch-rows", str(len(_ROWS)), "--grace-seconds", "300")
    expected = {kind: graphs.answer(kind, _ROWS) + 1 for kind in ("kan", "slow")}
    seen: Counter[str] = Counter()

    def check(kind: str, values: Any) -> None:
        np.testing.assert_allclose(values, expected[kind], rtol=1e-4, atol=1e-4)
        seen["OK"] += 1

    async def call_on(protocol: Any, kind: str) -> None:
        request = protocol.request(kind, _ROWS)
        async with server.channel() as channel:
            method = channel.unary_unary(protocol.path)
            while True:
                try:
                    check(kind, protocol.answer(await method(request, timeout=90))[2])
                except grpc.aio.AioRpcError as error:
                    seen[error.code().name] += 1
                    return

    def stream_on(protocol: Any, kind: str) -> None:
        """With grpc's threads: its asyncio stream loses what it holds when it writes to a stream that has ended."""
        request = protocol.request(kind, _ROWS)
        messages: SimpleQueue[bytes | None] = SimpleQueue()
        for _ in range(_IN_FLIGHT):
            messages.put(request)
        with grpc.insecure_channel(server.grpc, server.options) as channel:
            try:
                stream: Any = channel.stream_stream(protocol.stream_path)
                for answer in stream(iter(messages.get, None), timeout=240):
                    _, code, values, _ = protocol.stream_answer(answer)
                    if code == "OK":
                        check(kind, values)
                        messages.put(request)
                    else:
                        seen[f"{code} on a stream"] += 1
            except grpc.RpcError as error:
                seen[f"end of a stream: {error.code().name}"] += 1
            finally:
                messages.put(None)

    async def load() -> float:
        callers: list[asyncio.Future[None]] = [
            asyncio.ensure_future(call_on(protocol, kind))
            for protocol in PROTOCOLS
            for kind in expected
            for _ in range(_CALLERS)
        ]
        callers += [
            asyncio.get_running_loop().run_in_executor(threads, stream_on, KanApi, kind)
            for kind in expected
            for _ in range(_STREAMS)
        ]
        await until(lambda: seen["OK"] >= 2000, seconds=90)
        with gate.closed():
            await until_elsewhere(lambda: server.sample("kan_queue_rows", model="slow") >= 512)
            server.signal(signal.SIGTERM)
            taken = await asyncio.to_thread(taken_up)
        await asyncio.gather(*callers)
        return taken

    def taken_up() -> float:
        """Predictions at the begin of the stop: nothing is taken up then, and what was is still being answered."""
        wait_for(lambda: not server.is_ready(), "the stop")
        return float(server.sample("kan_request_rows_count"))

    with ThreadPoolExecutor(2 * _STREAMS) as threads:
        taken = asyncio.run(load())
    assert server.process.wait(360) == 0, f"exit code {server.process.returncode}; log: {server.log.read_text()}"
    assert seen["OK"] == taken, f"{taken:g} predictions were taken up, and callers saw {dict(seen)}"
    allowed = {"OK", "UNAVAILABLE", "CANCELLED", "UNAVAILABLE on a stream", "end of a stream: UNAVAILABLE"}
    assert set(seen) <= allowed, dict(seen)
    assert seen["UNAVAILABLE"] + seen["CANCELLED"] == 4 * _CALLERS, dict(seen)
    assert seen["CANCELLED"] <= _CALLERS, dict(seen)
    assert seen["end of a stream: UNAVAILABLE"] == 2 * _STREAMS, dict(seen)
    assert "Traceback" not in server.log.read_text()
