"""The ASGI application, asked over ASGI itself."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service.access import access_log
from service.access.access_log import AccessLog
from service.frontends.asgi.application import AsgiFront
from service.frontends.asgi.framing import frame
from service.metrics.metrics import Metrics
from service.protocols.prediction import EXPLAIN
from service.rpc.bounds import Bounds
from service.rpc.calls import BidiStream, Unary, table
from service.rpc.entrance import Entrance
from service.rpc.request import RequestContext
from tests.kit.waiting import run_test


async def _echo(_call: RequestContext, request: bytes) -> bytes:
    return request


_METHODS = table(
    [BidiStream("/echo", "kan_api", _echo, lambda request, _error: request), Unary(EXPLAIN, "kan_api", _echo)]
)


def test_whole_messages_before_one_that_is_too_long_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come with it in one piece of a stream that stays open: each has its answer, and the refusal follows at once.
    It is counted once, and has one line.
    """
    monkeypatch.setattr(access_log, "_CLOSE_SECONDS", 60.0)  # however busy the machine
    file, metrics = tmp_path / "access.log", Metrics()
    sent: list[Mapping[str, Any]] = []

    async def test() -> None:
        log, pieces = AccessLog(str(file)), [frame(b"one") + frame(b"two") + frame(bytes(11))]
        front = AsgiFront(
            *(_METHODS, metrics, Entrance(log=log)),
            bounds=Bounds(calls=1, streams=1, held_bytes=1000),
            max_message_bytes=10,
            max_request_rows=1,
            compression="none",
        )

        async def receive() -> Mapping[str, Any]:
            if not pieces:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": pieces.pop(), "more_body": True}

        async def send(event: Mapping[str, Any]) -> None:
            sent.append(event)

        headers = [(b"content-type", b"application/grpc")]
        await front({"type": "http", "method": "POST", "path": "/echo", "headers": headers}, receive, send)
        await front.stop(0)
        log.close()

    run_test(test())
    assert b"".join(event.get("body", b"") for event in sent) == frame(b"one") + frame(b"two")
    trailers = dict(sent[-1]["headers"])
    assert trailers[b"grpc-status"] == b"8"
    assert trailers[b"grpc-message"].startswith(b"Received message larger than max (11 vs. 10)")
    labels = {"model": "", "version": "", "protocol": "kan_api"}
    counted = [
        metrics.registry.get_sample_value("kan_requests_total", {**labels, "code": code})
        for code in ("OK", "RESOURCE_EXHAUSTED")
    ]
    assert counted == [2, 1]
    assert [json.loads(line)["code"] for line in file.read_text().splitlines()] == ["OK", "OK", "RESOURCE_EXHAUSTED"]
