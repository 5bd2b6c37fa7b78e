"""Answers that callers do not read: the same from every front end."""

import asyncio
import socket
from contextlib import ExitStack, closing
from typing import Any

import grpc
import grpc.aio
import pytest

from kan_api.v1 import prediction_pb2 as pb
from tests.kit.callers import http2
from tests.kit.callers.calls import ask
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.waiting import wait_for

_PATH = "/kan_api.v1.PredictionService/GetModel"
_MIB = str(2**20)


def _ask_and_do_not_read(server: KanServe, calls: int) -> socket.socket:
    """A connection that asks for the model's manifest so many times, and opens no window for the answers."""
    request = pb.GetModelRequest(model="affine").SerializeToString()
    return http2.ask_and_do_not_read(server.grpc, _PATH, request, calls, initial_window_bytes=0)


def _write_large(write_model: WriteModel, answer_bytes: int) -> None:
    """The model "affine", whose manifest has a recipe so long."""

    def change(manifest: Any) -> None:
        manifest.recipe = "x" * answer_bytes

    write_model("affine", change=change)


async def _whole(server: KanServe) -> bool:
    """Whether another caller gets the manifest, rather than that there is no room for it."""
    async with server.channel() as channel:
        call = ask(channel, "GetModel", model="affine")
        code = await call.code()
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED), await call.details()
        return bool(code == grpc.StatusCode.OK)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "calls", "answer_bytes"),
    [((), 3, 300_000), (("--max-calls", "8"), 8, 100_000)],
    ids=["bytes", "calls"],
)
def test_they_are_lost_once_others_need_the_room(
    flags: tuple[str, ...], calls: int, answer_bytes: int, start: Start, write_model: WriteModel
) -> None:
    """They fill the bytes, or the calls, that are held: others are soon answered all the same, and it is counted.

    Their connection is closed, the log says so without a traceback, and all that they held is free.
    """
    _write_large(write_model, answer_bytes)
    server = start("--max-inflight-bytes", _MIB, "--max-message-bytes", _MIB, *flags)
    with closing(_ask_and_do_not_read(server, calls)) as connection:
        wait_for(lambda: server.sample("kan_requests_total", code="OK") == calls)
        wait_for(lambda: asyncio.run(_whole(server)))
        assert 1 <= server.sample("kan_rejected_total", model="", reason="unread") <= calls
        while connection.recv(2**16):
            pass  # what was said before it was closed
        assert all(asyncio.run(_whole(server)) for _ in range(4))
    _, log = server.stop()
    assert log.count("whose caller reads no answers") == 1
    assert "Traceback" not in log, log


def test_a_late_reader_gets_the_answer(start: Start, write_model: WriteModel) -> None:
    """While nobody needs the room it waits, whatever others ask meanwhile."""
    _write_large(write_model, 300_000)
    server = start("--max-inflight-bytes", _MIB, "--max-message-bytes", _MIB)
    with closing(_ask_and_do_not_read(server, 1)) as connection:
        wait_for(lambda: server.sample("kan_requests_total", code="OK") == 1)
        assert all(asyncio.run(_whole(server)) for _ in range(20))
        connection.sendall(http2.window(2**30) + http2.window(2**30, 1))
        read = b""
        while read.count(b"x") < 300_000:
            piece = connection.recv(2**16)
            assert piece, f"the connection ended after {len(read)} bytes"
            read += piece
    assert server.sample("kan_rejected_total") == 0


def test_a_connection_that_nobody_reads(start: Start, write_model: WriteModel) -> None:
    """What a front end has written into a connection counts until it is read: others are answered, and it is closed."""
    _write_large(write_model, 900_000)
    server = start("--max-inflight-bytes", _MIB, "--max-message-bytes", _MIB)
    with ExitStack() as stack:
        for _ in range(8):
            connection = stack.enter_context(closing(_ask_and_do_not_read(server, 8)))
            connection.sendall(b"".join(http2.window(2**30, stream) for stream in (0, *range(1, 16, 2))))
        wait_for(lambda: server.sample("kan_requests_total") >= 64)
        for _ in range(4):
            wait_for(lambda: asyncio.run(_whole(server)))
