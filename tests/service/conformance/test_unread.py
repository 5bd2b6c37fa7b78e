"""Answers that callers do not read: the same from every front end."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from kan_api.v1 import prediction_pb2 as pb

Start = Callable[..., Any]
WriteModel = Callable[..., Path]

_PATH = "/kan_api.v1.PredictionService/GetModel"
_MIB = str(2**20)
_WINDOW_UPDATE = 8


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One HTTP/2 frame (RFC 9113, section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _ask_and_do_not_read(server: Any, calls: int) -> socket.socket:
    """A connection that asks for the model's manifest so many times, and opens no window for the answers."""
    fields = {":method": "POST", ":scheme": "http", ":path": _PATH, ":authority": "test"}
    fields |= {"content-type": "application/grpc", "te": "trailers"}
    block = b"".join(b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in field) for field in fields.items())
    message = pb.GetModelRequest(model="affine").SerializeToString()
    host, port = server.grpc.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)), 60)
    no_window = struct.pack(">HI", 4, 0)
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, no_window))
    for stream in range(1, 2 * calls, 2):
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        connection.sendall(_frame(1, 4, stream, block) + _frame(0, 1, stream, framed))
    return connection


def _write_large(write_model: WriteModel, answer_bytes: int) -> None:
    """The model "affine", whose manifest has a recipe so long."""

    def change(manifest: Any) -> None:
        manifest.recipe = "x" * answer_bytes

    write_model("affine", change=change)


async def _whole(server: Any) -> bool:
    """Whether another caller gets the manifest, rather than that there is no room for it."""
    async with grpc.aio.insecure_channel(server.grpc, options=[("grpc.enable_retries", 0)]) as channel:
        method: Any = channel.unary_unary(_PATH, pb.GetModelRequest.SerializeToString)
        call = method(pb.GetModelRequest(model="affine"), timeout=60)
        code = await call.code()
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED), await call.details()
        return bool(code == grpc.StatusCode.OK)


@pytest.mark.parametrize(
    ("flags", "calls", "answer_bytes"),
    [((), 3, 300_000), (("--max-calls", "8"), 8, 100_000)],
    ids=["bytes", "calls"],
)
def test_they_are_lost_once_others_need_the_room(
    flags: tuple[str, ...],
    calls: int,
    answer_bytes: int,
    start: Start,
    write_model: WriteModel,
    sample: Any,
    until: Any,
) -> None:
    """They fill the bytes, or the calls, that are held: others are soon answered all the same, and it is counted.

    Their connection is closed, the log says so without a traceback, and all that they held is free.
    """
    _write_large(write_model, answer_bytes)
    server = start("--max-inflight-bytes", _MIB, "--max-message-bytes", _MIB, *flags)
    with closing(_ask_and_do_not_read(server, calls)) as connection:
        asyncio.run(until(lambda: sample(server, "kan_requests_total", code="OK") == calls))
        asyncio.run(until(lambda: asyncio.run(_whole(server))))
        assert 1 <= sample(server, "kan_rejected_total", model="", reason="unread") <= calls
        while connection.recv(2**16):
            pass  # what was said before it was closed
        assert all(asyncio.run(_whole(server)) for _ in range(4))
    server.process.terminate()
    _, _, log = server.finish()
    assert log.count("whose caller reads no answers") == 1
    assert "Traceback" not in log, log


def test_a_late_reader_gets_the_answer(start: Start, write_model: WriteModel, sample: Any, until: Any) -> None:
    """While nobody needs the room it waits, whatever others ask meanwhile."""
    _write_large(write_model, 300_000)
    server = start("--max-inflight-bytes", _MIB, "--max-message-bytes", _MIB)
    with closing(_ask_and_do_not_read(server, 1)) as connection:
        asyncio.run(until(lambda: sample(server, "kan_requests_total", code="OK") == 1))
        assert all(asyncio.run(_whole(server)) for _ in range(20))
        much = struct.pack(">I", 2**30)
        connection.sendall(_frame(_WINDOW_UPDATE, 0, 0, much) + _frame(_WINDOW_UPDATE, 0, 1, much))
        read = b""
        while read.count(b"x") < 300_000:
            piece = connection.recv(2**16)
            assert piece, f"the connection ended after {len(read)} bytes"
            read += piece
    assert sample(server, "kan_rejected_total") == 0


def test_a_connection_that_nobody_reads(start: Start, write_model: WriteModel, sample: Any, until: Any) -> None:
    """What a front end has written into a connection counts until it is read: others are answered, and it is closed."""
    _write_large(write_model, 900_000)
    server = start("--max-inflight-bytes", _MIB, "--max-message-bytes", _MIB)
    with ExitStack() as stack:
        for _ in range(8):
            connection = stack.enter_context(closing(_ask_and_do_not_read(server, 8)))
            much = struct.pack(">I", 2**30)
            updates = (_frame(_WINDOW_UPDATE, 0, stream, much) for stream in (0, *range(1, 16, 2)))
            connection.sendall(b"".join(updates))
        asyncio.run(until(lambda: sample(server, "kan_requests_total") >= 64))
        for _ in range(4):
            asyncio.run(until(lambda: asyncio.run(_whole(server))))
