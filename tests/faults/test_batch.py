"""What goes wrong in the middle of a batch, and who notices."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from tests.kit.callers.protocols import PROTOCOLS
from tests.kit.server.kan_serve import Start
from tests.kit.waiting import until_elsewhere

pytestmark = pytest.mark.faults

# A batch is as large as this, and is run as soon as it is full: who is in which batch is then certain.
_BATCH_ROWS = 8
_FULL_BATCHES = ("--max-batch-rows", str(_BATCH_ROWS), "--max-queue-delay-seconds", "10")


def _row(first: float) -> Any:
    return np.array([[first, 1, 1, 1]], np.float32)


async def _outcomes(calls: list[Any]) -> list[Any]:
    """What calls gave: a value or the name of a status code."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    return [answer.code().name if isinstance(answer, grpc.aio.AioRpcError) else answer for answer in answers]


def _asks(protocol: Any, channel: grpc.aio.Channel) -> Callable[..., Any]:
    """Calls one protocol's method with rows of the model "picky" and gives the values."""
    method: Any = channel.unary_unary(protocol.path)

    async def ask(rows: Any, **metadata: str) -> list[float]:
        answer = await method(protocol.request("picky", rows), timeout=90, metadata=tuple(metadata.items()))
        values: list[float] = protocol.answer(answer)[2].tolist()
        return values

    return ask


def test_rows_of_another_width_leave_their_mates_alone(kan_serve: Start, publish_version: Callable[..., Path]) -> None:
    """They are refused with INVALID_ARGUMENT, between requests that fill one batch and are answered."""
    publish_version("picky")
    server = kan_serve(*_FULL_BATCHES)

    async def check(protocol: Any) -> None:
        async with server.channel() as channel:
            ask = _asks(protocol, channel)
            wide = np.ones((1, 5), np.float32)
            calls = [ask(rows) for place in range(_BATCH_ROWS) for rows in (_row(place % 4), wide)]
            outcomes = await _outcomes(calls)
        assert outcomes[1::2] == ["INVALID_ARGUMENT"] * _BATCH_ROWS, outcomes
        assert outcomes[::2] == [[10 * (place % 4 + 1) + 1] for place in range(_BATCH_ROWS)], outcomes

    for batches, protocol in enumerate(PROTOCOLS, 1):
        asyncio.run(check(protocol))
        assert server.sample("kan_batch_rows_count") == batches, "it was not one batch"


def test_a_caller_who_leaves_leaves_its_mates_alone(kan_serve: Start, publish_version: Callable[..., Path]) -> None:
    """Its row is not run, and those who came before and after it are answered."""
    publish_version("picky")
    server = kan_serve(*_FULL_BATCHES)

    async def check(protocol: Any) -> None:
        async with server.channel() as channel:
            ask = _asks(protocol, channel)
            before = [asyncio.create_task(ask(_row(place))) for place in range(3)]
            await until_elsewhere(lambda: server.sample("kan_queue_rows") == 3)
            leaves = asyncio.create_task(ask(_row(3)))
            await until_elsewhere(lambda: server.sample("kan_queue_rows") == 4)
            leaves.cancel()
            await until_elsewhere(lambda: server.sample("kan_queue_rows") == 3)
            after = [asyncio.create_task(ask(_row(place % 4))) for place in range(3, _BATCH_ROWS)]
            outcomes = await _outcomes([*before, *after])
        assert outcomes == [[10 * (place % 4 + 1) + 1] for place in range(_BATCH_ROWS)], outcomes

    for times, protocol in enumerate(PROTOCOLS, 1):
        asyncio.run(check(protocol))
        assert server.sample("kan_batch_rows_sum") == times * _BATCH_ROWS
        assert server.sample("kan_rejected_total", reason="cancelled") == times


def test_a_run_that_fails_fails_no_other_run(kan_serve: Start, publish_version: Callable[..., Path]) -> None:
    """A value on which onnxruntime gives up, between requests that each fill a batch: they are answered."""
    publish_version("picky")
    server = kan_serve(*_FULL_BATCHES)
    good = np.concatenate([_row(place % 4) for place in range(_BATCH_ROWS)])
    poison = good.copy()
    poison[_BATCH_ROWS // 2, 0] = 99

    async def check(protocol: Any) -> None:
        async with server.channel() as channel:
            ask = _asks(protocol, channel)
            outcomes = await _outcomes([ask(poison if place % 3 == 1 else good) for place in range(30)])
        right = [10 * (place % 4 + 1) + 1 for place in range(_BATCH_ROWS)]
        assert outcomes == ["INTERNAL" if place % 3 == 1 else right for place in range(30)], outcomes

    for protocol in PROTOCOLS:
        asyncio.run(check(protocol))
        assert server.is_ready()
    code, log = server.stop()
    assert code == 0, log
    assert log.count("a run failed") == 10 * len(PROTOCOLS), log


def test_the_log_names_the_request_that_failed(kan_serve: Start, publish_version: Callable[..., Path]) -> None:
    """By the x-request-id that its caller, or a proxy, gave it."""
    publish_version("picky")
    server = kan_serve()

    async def check(protocol: Any) -> None:
        async with server.channel() as channel:
            ask = _asks(protocol, channel)
            assert await _outcomes([ask(_row(99), **{"x-request-id": "order-66"})]) == ["INTERNAL"]

    for protocol in PROTOCOLS:
        asyncio.run(check(protocol))
    _, log = server.stop()
    for protocol in PROTOCOLS:
        assert f"{protocol.path} failed (x-request-id 'order-66'): the run that held these rows failed" in log, log


def test_the_log_in_json_has_what_is_known_of_the_request(
    kan_serve: Start, publish_version: Callable[..., Path]
) -> None:
    """Request id, trace id (traced or not), method, model, version, code and duration are fields of its line."""
    publish_version("picky")
    server = kan_serve("--log-format", "json")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    async def check(protocol: Any) -> None:
        async with server.channel() as channel:
            metadata = {"x-request-id": "seven", "traceparent": f"00-{trace}-00f067aa0ba902b7-00"}
            assert await _outcomes([_asks(protocol, channel)(_row(99), **metadata)]) == ["INTERNAL"]

    for protocol in PROTOCOLS:
        asyncio.run(check(protocol))
    _, log = server.stop()
    lines = [each for each in map(json.loads, log.splitlines()) if "request_id" in each]
    for line, protocol in zip(lines, PROTOCOLS, strict=True):
        assert {key: line[key] for key in ("request_id", "trace_id", "method", "model", "version", "code")} == {
            "request_id": "seven",
            "trace_id": trace,
            "method": protocol.path.removeprefix("/"),
            "model": "picky",
            "version": "1",
            "code": "INTERNAL",
        }
        assert line["seconds"] > 0


def test_who_shared_a_run_that_fails_is_answered_or_told(
    kan_serve: Start, publish_version: Callable[..., Path]
) -> None:
    """One row fails the run of eight callers: none waits for ever or gets a wrong number, the next eight are answered.

    Its mates may be told INTERNAL, since their run failed.
    """
    publish_version("picky")
    server = kan_serve(*_FULL_BATCHES)
    right = [[10 * (place % 4 + 1) + 1] for place in range(_BATCH_ROWS)]
    bad = _BATCH_ROWS // 2

    async def check(protocol: Any) -> None:
        async with server.channel() as channel:
            ask = _asks(protocol, channel)
            outcomes = await _outcomes([ask(_row(99 if place == bad else place % 4)) for place in range(_BATCH_ROWS)])
            after = await _outcomes([ask(_row(place % 4)) for place in range(_BATCH_ROWS)])
        assert outcomes[bad] == "INTERNAL", outcomes
        assert all(got in ("INTERNAL", wanted) for got, wanted in zip(outcomes, right, strict=True)), outcomes
        assert after == right, after

    for protocol in PROTOCOLS:
        asyncio.run(check(protocol))
        assert server.is_ready()
