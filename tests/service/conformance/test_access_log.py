"""The access log: one line a request, on both front ends."""

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import grpc
import grpc.aio
import numpy as np
import pytest

from kan_api.v1 import prediction_pb2 as pb
from service.access.access_log import MOST_LINE_BYTES
from tests.kit.callers.calls import ask, failure_of, infer, matrix, predict
from tests.kit.callers.protocols import KanApi
from tests.kit.callers.tokens import bearer, secret, write_tokens
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import KanServe, Start, run_kan_serve
from tests.kit.waiting import wait_for

_KEYS = [
    *("time", "request_id", "trace_id", "peer", "token", "certificate", "method", "model", "version", "code"),
    *("milliseconds", "queue_milliseconds", "compute_milliseconds", "rows"),
]
_TRACE = "1" * 32


def _lines(server: KanServe, file: Path) -> list[dict[str, Any]]:
    """What it wrote until its end, in the order of its writing."""
    code, log = server.stop()
    assert code == 0, log
    text = file.read_bytes()
    assert text.endswith(b"\n")
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_a_request(start: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """Each request, of streams too, has a line with its caller, model, code, times and rows, and the log agrees with
    kan_requests_total.
    """
    write_model("affine")
    file = tmp_path / "access.log"
    tokens = write_tokens(tmp_path / "tokens.toml", alice="", bob='models = ["other"]')
    server = start("--access-log", str(file), "--tokens", str(tokens))
    rows = np.ones((3, 4), np.float32)

    async def check() -> None:
        async with server.channel() as channel:
            method: Any = channel.unary_unary(KanApi.path)
            metadata = [*bearer("alice"), ("x-request-id", "seven"), ("traceparent", f"00-{_TRACE}-{'2' * 16}-00")]
            await method(KanApi.request("affine", rows), timeout=60, metadata=metadata)
            await infer(channel, "affine", rows, token="alice")
            await failure_of(ask(channel, "GetModel", model="absent", token="alice"))
            await failure_of(predict(channel, "affine", token="bob"))
            await failure_of(predict(channel, "affine"))
            stream: Any = channel.stream_stream(KanApi.stream_path)
            requests = [KanApi.request("affine", rows[:count]) for count in (1, 2)]
            assert len([one async for one in stream(iter(requests), timeout=60, metadata=bearer("alice"))]) == 2

    asyncio.run(check())
    counted = {code: server.sample("kan_requests_total", code=code) for code in ("OK", "NOT_FOUND")}
    lines = _lines(server, file)
    assert all(list(line) == _KEYS for line in lines)
    assert all(line["queue_milliseconds"] == line["compute_milliseconds"] == 0 for line in lines[2:5])
    told = [tuple(line[key] for key in ("token", "model", "version", "code", "rows")) for line in lines[:5]]
    assert told == [
        ("alice", "affine", "1", "OK", 3),
        ("alice", "affine", "1", "OK", 3),
        ("alice", None, None, "NOT_FOUND", 0),
        ("bob", None, None, "PERMISSION_DENIED", 0),
        (None, None, None, "UNAUTHENTICATED", 0),
    ]
    assert lines[0]["request_id"] == "seven"
    assert [line["trace_id"] for line in lines] == [_TRACE, *[None] * (len(lines) - 1)]
    assert all(re.fullmatch("[0-9a-f]{16}", line["request_id"]) for line in lines[1:])
    assert len({line["request_id"] for line in lines}) == len(lines)
    assert lines[0]["method"] == KanApi.path
    assert 0 < lines[0]["compute_milliseconds"] <= lines[0]["milliseconds"]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+", line["peer"]) for line in lines)
    assert Counter(line["rows"] for line in lines[5:]) == {1: 1, 2: 1}
    assert counted == {code: sum(line["code"] == code for line in lines) for code in counted}
    assert secret("alice").encode() not in file.read_bytes()


def test_the_times_of_a_line_are_those_of_the_answer(start: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """Time in the queue and in runs, in thousandths of a millisecond, of calls that waited and of calls that did not.
    The parts are no longer than the whole.
    """
    write_model("affine")
    file = tmp_path / "access.log"
    server = start("--access-log", str(file))
    request = KanApi.request("affine", np.ones((512, 4), np.float32))
    told: dict[str, tuple[float, float]] = {}

    async def call(method: Any, name: str) -> None:
        answer = pb.PredictResponse.FromString(await method(request, timeout=60, metadata=[("x-request-id", name)]))
        told[name] = (round(1e3 * answer.queue_seconds, 3), round(1e3 * answer.compute_seconds, 3))

    async def check() -> None:
        async with server.channel() as channel:
            method: Any = channel.unary_unary(KanApi.path)
            await call(method, "alone")
            async with asyncio.timeout(60):
                while not any(queue for queue, _ in told.values()):
                    names = [f"call {len(told) + number}" for number in range(10)]  # 5,120 rows of 8,192
                    await asyncio.gather(*(call(method, name) for name in names))

    asyncio.run(check())
    lines = {line["request_id"]: line for line in _lines(server, file)}
    assert {name: (line["queue_milliseconds"], line["compute_milliseconds"]) for name, line in lines.items()} == told
    assert all(0 < sum(told[name]) <= line["milliseconds"] + 0.002 for name, line in lines.items())


def test_a_refused_call_has_the_name_of_its_token(start: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """Refused for its method, or since it has expired: the line names the token if the server knows it, and never has
    the token itself.
    """
    write_model("affine")
    file = tmp_path / "access.log"
    tables = {"bob": 'methods = ["GetModel"]', "old": "expires = 2020-01-31"}
    server = start("--access-log", str(file), "--tokens", str(write_tokens(tmp_path / "tokens.toml", **tables)))

    async def check() -> None:
        async with server.channel() as channel:
            for token in ("bob", "old", "eve"):
                await failure_of(predict(channel, "affine", token=token))

    asyncio.run(check())
    told = [(line["token"], line["code"]) for line in _lines(server, file)]
    assert told == [("bob", "PERMISSION_DENIED"), ("old", "UNAUTHENTICATED"), (None, "UNAUTHENTICATED")]
    assert not any(secret(token).encode() in file.read_bytes() for token in ("bob", "old", "eve"))


def test_a_message_that_is_too_long_has_a_line(
    start: Start, frontend: str, write_model: WriteModel, tmp_path: Path
) -> None:
    """One for each such call, with its method and caller, whoever refuses it: Python, Envoy, or gRPC's core, which does
    not say whether its caller left.
    """
    write_model("affine")
    file, tokens = tmp_path / "access.log", write_tokens(tmp_path / "tokens.toml", alice="")
    server = start("--access-log", str(file), "--tokens", str(tokens), "--max-message-bytes", "65536")
    sizes = [2**17] * 20 + [2**23]
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.unary_unary(KanApi.path)
        for size in sizes:
            with pytest.raises(grpc.RpcError) as caught:
                method(bytes(size), timeout=60, metadata=bearer("alice"))
            assert cast(grpc.Call, caught.value).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    lines = _lines(server, file)
    assert len(lines) == len(sizes)
    assert {line["method"] for line in lines} == {KanApi.path}
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+", line["peer"]) for line in lines)
    told = {(line["code"], line.get("token"), re.split("[:{]", line.get("details", ""))[0]) for line in lines}
    if frontend == "grpcio":
        assert told == {("CANCELLED", "alice", "no whole message came")}
    else:
        refused = {
            ("RESOURCE_EXHAUSTED", "alice", f"Received message larger than max ({size} vs. 65536); max_message_bytes")
            for size in sizes
        }
        assert told <= {*refused, ("RESOURCE_EXHAUSTED", None, "request_payload_too_large")}


def test_a_stream_that_is_cut_off_has_a_line_of_its_own(
    start: Start, frontend: str, write_model: WriteModel, tmp_path: Path
) -> None:
    """Beside those of its requests, at most one, which does not say that the stream brought nothing."""
    write_model("affine")
    file = tmp_path / "access.log"
    server = start("--access-log", str(file), "--max-message-bytes", "65536")
    requests = [KanApi.request("affine", np.ones((1, 4), np.float32)), bytes(2**17)]
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.stream_stream(KanApi.stream_path)
        for _ in range(20):
            with pytest.raises(grpc.RpcError):
                list(method(iter(requests), timeout=60))
    told = Counter((line["code"], line.get("details", "").split(":")[0]) for line in _lines(server, file))
    cut = ("CANCELLED", "no further message came")
    if frontend != "grpcio":
        cut = ("RESOURCE_EXHAUSTED", "Received message larger than max (131072 vs. 65536); max_message_bytes")
    assert told.keys() == {("OK", ""), cut}
    assert told[cut] <= 20


def test_a_caller_without_a_message_is_told_and_logged(start: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """A call that ends before its one message is a mistake of the caller's: a code, a line that says why, a count."""
    write_model("affine")
    file = tmp_path / "access.log"
    server = start("--access-log", str(file))
    none: Iterator[bytes] = iter(())
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.stream_unary(KanApi.path)
        with pytest.raises(grpc.RpcError) as caught:
            method(none, timeout=60)
        assert cast(grpc.Call, caught.value).code() is grpc.StatusCode.INVALID_ARGUMENT
        details = cast(grpc.Call, caught.value).details()
        assert details == "the request holds 0 messages; wanted one"
    # Behind grpcio it is counted once gRPC has taken the status, which the caller may have before.
    wait_for(lambda: server.sample("kan_requests_total", code="INVALID_ARGUMENT") == 1)
    assert [(line["code"], line["details"]) for line in _lines(server, file)] == [("INVALID_ARGUMENT", details)]


def test_a_line_has_bounded_length_and_no_payload(start: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """Whatever callers send, a line fits into one write to a pipe, is one line, and holds nothing of a message."""
    write_model("affine")
    file = tmp_path / "access.log"
    server = start("--access-log", str(file))
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.unary_unary(KanApi.path)
        request = pb.PredictRequest(
            id="payload-id", model="payload" * 300, features=matrix(np.ones((1, 4), np.float32))
        )
        for request_id in ("x" * 6000, '"\\' * 2000, "a b", "~{}" * 1000):
            with pytest.raises(grpc.RpcError):
                method(request.SerializeToString(), timeout=60, metadata=[("x-request-id", request_id)])
        for request_id in ("x" * 6000, '"\\' * 2000, "a b", "~{}" * 1000):
            good = KanApi.request("affine", np.ones((1, 4), np.float32))
            method(good, timeout=60, metadata=[("x-request-id", request_id)])
    lines = _lines(server, file)
    assert len(lines) == 8
    assert max(map(len, file.read_bytes().splitlines(keepends=True))) <= MOST_LINE_BYTES
    assert b"payload" not in file.read_bytes()
    assert [line["request_id"] for line in lines][2] == "a b"


def test_an_access_log_that_cannot_be_written(frontend: str, models: Path) -> None:
    """It is one line, and exit code 1."""
    pipe = models / "pipe"
    os.mkfifo(pipe)  # without a reader
    for file in (models / "absent" / "access.log", pipe):
        done = run_kan_serve(models, "--frontend", frontend, "--access-log", str(file))
        assert done.returncode == 1
        assert f"access log {str(file)!r} cannot be written" in done.stderr.splitlines()[-1]


def test_a_log_that_nobody_reads_stops_nobody(start: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """On a full device each line is lost and counted, and every call is answered."""
    write_model("affine")
    server = start("--access-log", "/dev/full")

    async def check() -> None:
        async with server.channel() as channel:
            for _ in range(5):
                await predict(channel, "affine")

    asyncio.run(check())
    code, log = server.stop()
    assert code == 0
    assert "a line of the access log '/dev/full' was lost" in log


def test_a_token_in_the_query_stays_out(start: Start, frontend: str, write_model: WriteModel, tmp_path: Path) -> None:
    """The lines of calls that Envoy answers itself have the path without its query; grpcio knows no such method."""
    write_model("affine")
    file = tmp_path / "access.log"
    server = start("--access-log", str(file), "--max-message-bytes", "65536")
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.unary_unary(f"{KanApi.path}?access_token=kan_secret")
        for size in (10, 2**20):
            with pytest.raises(grpc.RpcError):
                method(b"x" * size, timeout=60)
    assert server.stop()[0] == 0
    text = file.read_text()
    assert "kan_secret" not in text
    if frontend == "envoy":
        assert KanApi.path in [json.loads(line)["method"] for line in text.splitlines()]
