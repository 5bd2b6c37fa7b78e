"""Features of the Envoy front end only: two processes that watch each other, JSON over HTTP, gRPC-Web."""

import asyncio
import base64
import gzip
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import psutil
import pytest

from kan_api.v1 import prediction_pb2 as pb
from service.access.access_log import MOST_LINE_BYTES
from service.frontends.envoy import message_header
from service.process.stop import GONE
from service.rpc.limits import MAX_JSON_BYTES
from service.rpc.status import Code
from tests.kit.callers import http2
from tests.kit.callers.calls import predict
from tests.kit.callers.http1 import read_answer
from tests.kit.callers.load import calling
from tests.kit.callers.protocols import KanApi
from tests.kit.callers.tokens import secret, write_tokens
from tests.kit.models.attributions import add_attribution
from tests.kit.models.graphs import endless_where_large
from tests.kit.models.repository import WriteModel, replace_graph, write_version
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import KanServe, Start, serving
from tests.kit.waiting import seconds_until, until_elsewhere, wait_for


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A server of the model "affine" behind Envoy; the tests that end neither share it."""
    folder = tmp_path_factory.mktemp("shared")
    write_version(folder / "models", "affine")
    with serving(folder / "models", "--frontend", "envoy", log=folder / "log") as started:
        yield started


@pytest.fixture(scope="module")
def closed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """The same, with a token "a" for the model "affine"."""
    folder = tmp_path_factory.mktemp("closed")
    write_version(folder / "models", "affine")
    tokens = write_tokens(folder / "tokens.toml", a='models = ["affine"]')
    flags = ("--frontend", "envoy", "--tokens", str(tokens))
    with serving(folder / "models", *flags, log=folder / "log") as started:
        yield started


@pytest.fixture
def own_server(kan_serve: Start, write_model: WriteModel) -> Any:
    """The same for one test, which may end it."""
    write_model("affine")
    return kan_serve("--frontend", "envoy")


def _children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children()]


def _gone(pid: int) -> None:
    """Returns once no process has this number."""
    descriptor = os.pidfd_open(pid)
    try:
        assert select.select([descriptor], [], [], 60)[0]
    finally:
        os.close(descriptor)


def test_envoy_ends_with_kan_serve(own_server: KanServe) -> None:
    """Killed, kan-serve leaves neither an Envoy nor its folder behind."""
    (envoy,) = _children(own_server.process.pid)
    folder = own_server.envoy_folder()
    own_server.process.kill()
    _gone(envoy)
    assert not folder.exists()


def _endless(server: KanServe) -> "socket.socket":
    """A connection that has asked for a run that never returns."""
    body = json.dumps({"model": "endless", "features": {"rows": 1, "columns": 4, "values": [3, 1, 1, 1]}}).encode()
    connection = _begun(server, "Predict", "content-type: application/json", f"content-length: {len(body)}")
    connection.sendall(body)
    return connection


def test_envoy_ends_with_kan_serve_although_a_run_never_returns(kan_serve: Start, write_model: WriteModel) -> None:
    """Kan-serve is killed while the event loop inside Envoy is blocked: Envoy ends all the same."""
    replace_graph(write_model("affine", name="endless"), endless_where_large(wide=False))
    server = kan_serve("--frontend", "envoy")
    (envoy,) = _children(server.process.pid)
    folder = server.envoy_folder()
    with _endless(server):
        wait_for(lambda: server.sample("kan_request_rows_count", model="endless") == 1)
        server.process.kill()
        _gone(envoy)
    assert not folder.exists()


def test_an_envoy_that_hangs(kan_serve: Start, write_model: WriteModel) -> None:
    """A stopped Envoy answers nothing. kan-serve kills it in time, and exit code 3 reports it."""
    write_model("affine")
    server = kan_serve("--frontend", "envoy", "--grace-seconds", "0")
    (envoy,) = _children(server.process.pid)
    folder = server.envoy_folder()
    os.kill(envoy, signal.SIGSTOP)
    server.signal(signal.SIGTERM)
    seconds = seconds_until(lambda: server.process.poll() is not None, "the end of kan-serve")
    assert seconds <= GONE.after_grace_seconds
    code, _, log = server.finish()
    assert code == 3, log
    assert "abandoned" in log
    assert not Path(f"/proc/{envoy}").exists()
    assert not folder.exists()


def test_a_stop_while_envoy_starts(models: Path) -> None:
    """It does not wait until Envoy listens, and leaves none behind."""
    flags = ["--models", str(models), "--frontend", "envoy", "--grpc-port", "0", "--http-port", "0"]
    with subprocess.Popen([sys.executable, "-m", "service.cli", *flags], stderr=subprocess.PIPE, text=True) as process:
        while not (envoys := _children(process.pid)):
            assert process.poll() is None
        process.terminate()
        _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert not Path(f"/proc/{envoys[0]}").exists()


def test_envoy_ends_with_kan_serve_after_the_drain(gate: Gate, kan_serve: Start, write_model: WriteModel) -> None:
    """If kan-serve is killed after the drain, before it ends Envoy, no Envoy is left behind."""
    write_model("slow")
    server = kan_serve("--frontend", "envoy")
    (envoy,) = _children(server.process.pid)

    def metrics_gone() -> bool:
        try:
            return server.sample("kan_model_ready", model="slow") is None
        except (OSError, http.client.HTTPException):
            return True

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            with gate.closed():
                busy = asyncio.ensure_future(predict(channel, "slow", 4096))
                await until_elsewhere(lambda: server.sample("kan_queue_rows", model="slow") > 0)
                server.process.terminate()
                await until_elsewhere(lambda: server.sample("kan_model_ready", model="slow") == 0)
                server.signal(signal.SIGSTOP)
            await busy
            await until_elsewhere(metrics_gone)  # the server inside has stopped
        server.process.kill()
        _gone(envoy)

    asyncio.run(check())


def test_kan_serve_ends_with_envoy(own_server: KanServe) -> None:
    """If Envoy is killed, kan-serve logs the signal and ends with exit code 1, so that a supervisor restarts it."""
    (envoy,) = _children(own_server.process.pid)
    os.kill(envoy, signal.SIGKILL)
    code, _, log = own_server.finish()
    assert code == 1
    assert "Envoy or the server inside it was ended by signal 9" in log


def test_the_admin_interface_is_private(own_server: KanServe) -> None:
    """Envoy's admin API is a socket in a folder that only this user can access. It is removed after the stop."""
    folder = own_server.envoy_folder()
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "admin.sock").is_socket()
    assert own_server.stop()[0] == 0
    assert not folder.exists()


def test_the_drain_goes_on_without_the_admin_interface(own_server: KanServe) -> None:
    """If Envoy's admin API is gone, kan-serve logs it, drains the rest and ends with exit code 0."""
    (envoy,) = _children(own_server.process.pid)
    (own_server.envoy_folder() / "admin.sock").unlink()
    code, log = own_server.stop()
    assert code == 0
    assert "admin API does not answer" in log
    assert not Path(f"/proc/{envoy}").exists()


def _post(server: KanServe, path: str, body: bytes, kind: str) -> tuple[int, bytes, Any]:
    request = urllib.request.Request(f"http://{server.grpc}{path}", body, {"content-type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def test_json_over_http(server: KanServe, answer: Any) -> None:
    """Predict as a JSON object over plain HTTP: numpy's numbers; a mistake is an HTTP status with our message."""
    path = "/kan_api.v1.PredictionService/Predict"
    body = {"model": "affine", "features": {"rows": 1, "columns": 4, "values": [1, 2, 3, 4]}}
    status, text, _ = _post(server, path, json.dumps(body).encode(), "application/json")
    assert status == 200, text
    values = json.loads(text)["outputs"][0]["values"]["values"]
    np.testing.assert_allclose(values, answer("affine", np.array([[1, 2, 3, 4]], np.float32))[0], rtol=1e-6)
    status, text, _ = _post(server, path, b'{"model": "absent"}', "application/json")
    assert status == 404
    assert "unknown" in json.loads(text)["message"]
    for unnamed in (b"{}", b'{"modle": "affine"}', b'{"model": ""}'):
        status, text, _ = _post(server, path, unnamed, "application/json")
        assert (status, json.loads(text)["code"]) == (400, 3)
        assert "model is missing or empty; wanted the name of a model" in json.loads(text)["message"]


def test_grpc_web(server: KanServe) -> None:
    """A gRPC-Web call, as browsers make it: the message, then the trailers in the body."""
    features = pb.Matrix(rows=1, columns=4, values=[1, 2, 3, 4])
    message = pb.PredictRequest(model="affine", features=features).SerializeToString()
    framed = b"\0" + len(message).to_bytes(4, "big") + message
    path = "/kan_api.v1.PredictionService/Predict"
    status, body, headers = _post(server, path, framed, "application/grpc-web+proto")
    assert (status, headers["content-type"]) == (200, "application/grpc-web+proto")
    length = int.from_bytes(body[1:5], "big")
    assert pb.PredictResponse.FromString(body[5 : 5 + length]).model == "affine"
    assert b"grpc-status:0" in body[5 + length :]


def _predict(server: KanServe, identity: str, **options: Any) -> pb.PredictResponse:
    features = pb.Matrix(rows=1, columns=4, values=[1, 2, 3, 4])
    request = pb.PredictRequest(model="affine", id=identity, features=features).SerializeToString()
    with grpc.insecure_channel(server.grpc) as channel:
        method: Any = channel.unary_unary("/kan_api.v1.PredictionService/Predict")
        return pb.PredictResponse.FromString(method(request, timeout=60, **options))


@pytest.mark.parametrize("length", [1, 60_000, 70_000, 3_000_000])
def test_messages_of_any_length(length: int, server: KanServe) -> None:
    """Messages that Envoy puts into a header, and messages that come as a body, up to the bound."""
    identity = "x" * length
    assert _predict(server, identity).id == identity


def test_nobody_else_makes_that_header(server: KanServe) -> None:
    """A header of that name from a caller is dropped: the message in the body is answered."""
    other = pb.PredictRequest(model="absent").SerializeToString()
    framed = base64.b64encode(b"\0" + len(other).to_bytes(4, "big") + other).decode()
    metadata = [(message_header.HEADER.decode(), framed)]
    assert _predict(server, "mine", metadata=metadata).id == "mine"
    assert _predict(server, "x" * 70_000, metadata=metadata).id == "x" * 70_000
    for value in (framed, "A"):
        with grpc.insecure_channel(server.grpc) as channel:
            method: Any = channel.unary_unary("/kan_api.v1.PredictionService/ListModels")
            answer = method(b"", timeout=60, metadata=[(message_header.HEADER.decode(), value)])
        assert [model.name for model in pb.ListModelsResponse.FromString(answer).models] == ["affine"]


def test_a_small_message_comes_in_a_header(server: KanServe) -> None:
    """Python does not ask for a body. Envoy is woken only for the answer, two times less than with a body."""
    (envoy,) = _children(server.process.pid)
    switches = []
    for identity in ("x", "x" * 70_000):
        _predict(server, identity)
        before = _switches(envoy)
        for _ in range(200):
            _predict(server, identity)
        switches.append(_switches(envoy) - before)
    assert switches[0] < switches[1]


def _switches(pid: int) -> int:
    """How often the process's threads have waited."""
    return sum(
        int(line.split()[1])
        for status in Path(f"/proc/{pid}/task").glob("*/status")
        for line in status.read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches")
    )


def test_a_message_far_beyond_the_bound(kan_serve: Start, write_model: WriteModel) -> None:
    """Envoy refuses a message that it would have to buffer with the same text and code as a slightly longer one."""
    write_model("affine")
    server = kan_serve("--frontend", "envoy", "--max-message-bytes", str(2**20))
    for length in (2**20, 2**22):
        with pytest.raises(grpc.RpcError) as caught:
            _predict(server, "x" * length)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "larger than max" in str(caught.value.details())


def test_a_grpc_web_message_far_beyond_the_bound(kan_serve: Start, write_model: WriteModel) -> None:
    """RESOURCE_EXHAUSTED, in headers, as gRPC-Web has the status of a call without an answer."""
    write_model("affine")
    server = kan_serve("--frontend", "envoy", "--max-message-bytes", "4096")
    path = "/kan_api.v1.PredictionService/Predict"
    status, body, headers = _post(server, path, bytes(2**22), "application/grpc-web+proto")
    assert (status, headers["grpc-status"], body) == (200, "8", b"")
    assert "4096" in headers["grpc-message"]


@pytest.mark.parametrize("method", ["Predict", "ListModels"])
def test_json_far_beyond_the_bound(method: str, server: KanServe) -> None:
    """The answer comes before the whole body has arrived, and at most the bound is buffered."""
    (envoy,) = _children(server.process.pid)
    before = _peak_mb(envoy)
    with _begun(server, method, "content-type: application/json", f"content-length: {2**28}") as connection:
        connection.sendall(b'{"id": "')
        connection.setblocking(False)
        sent, piece = 0, b"x" * 2**16
        while sent < 2**28:
            readable, writable, _ = select.select([connection], [connection], (), 60)
            if readable or not writable:
                break
            sent += connection.send(piece)
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 429 "), answer
    assert b'"code":8' in answer
    assert b"2097152 bytes" in answer
    assert sent < 2**25
    assert _peak_mb(envoy) < before + 32


def _begun(server: KanServe, method: str, *headers: str) -> socket.socket:
    """A connection on which a call has begun: its headers are sent."""
    connection = http2.connect(server.grpc)
    lines = [f"POST /kan_api.v1.PredictionService/{method} HTTP/1.1", "host: kan", *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return connection


@pytest.mark.parametrize("method", ["Predict", "Explain", "ListModels", "GetModel"])
@pytest.mark.parametrize("kind", ["application/json", "application/grpc-web+proto"])
def test_a_body_without_a_token_is_not_waited_for(kind: str, method: str, closed_server: KanServe) -> None:
    """A call without a token is refused once its headers are there: Envoy holds no body of it."""
    before = closed_server.sample("kan_rejected_total", reason="unauthenticated")
    with _begun(closed_server, method, f"content-type: {kind}", f"content-length: {2**20}") as connection:
        connection.sendall(b"{")
        answer = read_answer(connection)
    if kind == "application/json":
        assert answer.startswith(b"HTTP/1.1 401 ")
    else:
        assert b"grpc-status: 16" in answer
    assert closed_server.sample("kan_rejected_total", reason="unauthenticated") == before + 1


def test_json_with_a_token(closed_server: KanServe) -> None:
    """It is answered; a wrong one is 401 and a model of others 403."""
    head = "content-type: application/json"
    for name, model, status in (("a", "affine", 200), ("b", "affine", 401), ("a", "absent", 403)):
        body = json.dumps({"model": model}).encode()
        token = f"authorization: Bearer {secret(name)}"
        with _begun(closed_server, "GetModel", head, token, f"content-length: {len(body)}") as connection:
            connection.sendall(body)
            assert read_answer(connection).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON;charset=utf-8"])
def test_json_by_its_content_type(kind: str, server: KanServe) -> None:
    """Names of media types are compared without case and without parameters (RFC 9110, section 8.3.1)."""
    status, text, _ = _post(server, "/kan_api.v1.PredictionService/ListModels", b"{}", kind)
    assert (status, json.loads(text)["models"][0]["name"]) == (200, "affine")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (("content-type: text/plain",), ""),
        (("content-type: application/x-www-form-urlencoded",), ""),
        (("content-type: multipart/form-data; boundary=application/json",), ""),
        (("content-type: application/jsonx",), ""),
        ((), ""),
        (("content-type: application/json", "content-encoding: gzip"), ""),
        (("content-type: application/json",), "?model=affine"),
    ],
    ids=str,
)
def test_what_is_not_taken_for_json(headers: tuple[str, ...], query: str, server: KanServe) -> None:
    """Requests that browsers send for any page, compressed bodies, and queries, which would become fields."""
    body = b'{"model": "affine", "features": {"rows": 1, "columns": 4, "values": [1, 2, 3, 4]}}'
    with _begun(server, f"Predict{query}", *headers, f"content-length: {len(body)}") as connection:
        connection.sendall(body)
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 415 "), answer
    assert b"application/json" in answer


@pytest.mark.parametrize(
    ("timeout", "wanted"), [("1n", b"HTTP/1.1 504 "), ("junk", b"grpc-timeout is 'junk'; wanted 1 to 8 digits")]
)
def test_deadlines_reach_python_as_they_came(timeout: str, wanted: bytes, server: KanServe) -> None:
    """To the nanosecond, though Envoy rounds them up to milliseconds; and only from grpc-timeout."""
    body = b'{"model": "affine", "features": {"rows": 1, "columns": 4, "values": [1, 2, 3, 4]}}'
    head = ("content-type: application/json", f"grpc-timeout: {timeout}", f"content-length: {len(body)}")
    with _begun(server, "Predict", *head) as connection:
        connection.sendall(body)
        answer = read_answer(connection)
    assert wanted in answer, answer
    with _begun(server, "Predict", "x-kan-timeout: 1n", *head[::2]) as connection:
        connection.sendall(body)
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 200 "), answer


@pytest.mark.parametrize(
    ("kind", "part", "wanted"),
    [
        ("application/json", b'{"model": ', (b"HTTP/1.1 504 ", b'"code":4')),
        ("application/grpc", b"\0\0\0\0\xff", (b"HTTP/1.1 200 ", b"grpc-status: 4")),
        ("application/grpc-web+proto", b"\0\0\0\0\xff", (b"HTTP/1.1 200 ", b"grpc-status: 4")),
    ],
)
def test_the_deadline_of_a_request_that_never_ends(
    kind: str, part: bytes, wanted: tuple[bytes, bytes], server: KanServe
) -> None:
    """It counts from the begin of the call, and some time later ends one whose message is still incomplete in Envoy."""
    headers = (
        *(f"content-type: {kind}", "te: trailers", "grpc-timeout: 100m", "content-length: 260"),
        "x-envoy-original-path: /not/json",  # a proxy's before this one
    )
    with _begun(server, "Predict", *headers) as connection:
        connection.sendall(part)
        answer = read_answer(connection)
    assert answer.startswith(wanted[0]), answer
    assert wanted[1] in answer
    assert b"deadline" in answer


def test_a_deadline_that_passes_within_an_answer(kan_serve: Start, write_model: WriteModel) -> None:
    """The call of a slow reader ends with a status, and not with a reset, which gRPC takes for INTERNAL.

    A window for the answer is opened when its deadline is over.
    """
    write_model("affine")
    server = kan_serve("--frontend", "envoy", "--max-request-rows", "30000", "--max-queue-rows", "30000")
    request = gzip.compress(KanApi.request("affine", np.ones((30_000, 4), np.float32)))
    with http2.connect(server.grpc) as connection:
        connection.sendall(http2.hello(initial_window_bytes=100) + http2.window(2**24))
        connection.sendall(http2.call(KanApi.path, 1, **{"grpc-timeout": "4S", "grpc-encoding": "gzip"}))
        message = b"\1" + http2.message(request)[1:]
        connection.sendall(http2.frame(http2.DATA, http2.END_STREAM, 1, message))
        wait_for(lambda: server.sample("kan_requests_total", model="affine", code="OK") == 1)
        connection.settimeout(5)  # longer than the deadline
        received = b""
        with suppress(TimeoutError):
            while piece := connection.recv(2**16):
                received += piece
        connection.settimeout(60)
        connection.sendall(http2.window(2**24, 1))
        while (kinds := _kinds(received)).count(http2.HEADERS) < 2 and http2.RESET not in kinds:
            received += connection.recv(2**16)
    assert http2.RESET not in kinds
    assert kinds.count(http2.HEADERS) == 2
    assert kinds[-1] == http2.HEADERS


def _kinds(received: bytes) -> list[int]:
    """The kinds of the frames of the first stream."""
    return [kind for kind, stream, _ in http2.frames(received) if stream == 1]


def test_the_deadline_of_json_that_is_computed(gate: Gate, kan_serve: Start, write_model: WriteModel) -> None:
    """The answer is an error in JSON, and is counted as a deadline."""
    write_model("slow")
    server = kan_serve("--frontend", "envoy")
    matrix = {"rows": 1, "columns": 4, "values": [1] * 4}
    body = json.dumps({"model": "slow", "features": matrix}).encode()
    # The run must begin before: a call that Envoy ends before Python has it is not counted.
    head = ("content-type: application/json", "grpc-timeout: 8S", f"content-length: {len(body)}")
    with gate.closed(), _begun(server, "Predict", *head) as connection:
        connection.sendall(body)
        answer = read_answer(connection)
        # The server notices a little later than Envoy: a run that ended before would count as answered.
        wait_for(lambda: server.sample("kan_requests_total", code="DEADLINE_EXCEEDED") == 1)
    assert answer.startswith(b"HTTP/1.1 504 "), answer
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["code"] == int(Code.DEADLINE_EXCEEDED)


def test_a_stop_while_json_is_converted(kan_serve: Start, write_model: WriteModel) -> None:
    """Bodies that are complete when the stop begins get an answer: the result, or a refusal for the stop.

    Queue and memory hold them all: beyond these bounds the answer would be 429, with or without a stop.
    """
    write_model("affine")
    bounds = ("--max-queue-rows", str(16 * 4000), "--max-inflight-bytes", str(2**28))
    own_server = kan_serve("--frontend", "envoy", *bounds)
    values = ",".join(["0.1" + 115 * "0"] * (4 * 4000))
    body = f'{{"model": "affine", "features": {{"rows": 4000, "columns": 4, "values": [{values}]}}}}'.encode()
    assert 1.8 * 2**20 < len(body) < 2**21
    head = ("content-type: application/json", "connection: close", f"content-length: {len(body)}")
    connections = [_begun(own_server, "Predict", *head) for _ in range(16)]
    for connection in connections:
        connection.sendall(body)
    own_server.process.terminate()
    answers = [b"".join(iter(partial(connection.recv, 2**16), b"")) for connection in connections]
    for connection in connections:
        connection.close()
    assert {answer[:13] for answer in answers} <= {b"HTTP/1.1 200 ", b"HTTP/1.1 503 "}, [a[:300] for a in answers]
    assert own_server.finish()[0] == 0


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def test_a_browser_is_told_where_it_is(server: KanServe) -> None:
    """A plain HTTP request that is no call gets one line that names the server."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://{server.grpc}/metrics", timeout=60)
    with caught.value as error:
        assert error.code == 415
        text = error.read()
        assert b"gRPC" in text
        assert b"application/json" in text


def test_the_access_log_has_what_envoy_answers_itself(
    kan_serve: Start, write_model: WriteModel, tmp_path: Path
) -> None:
    """A message or JSON that is too long, and JSON that is none, never reach Python: Envoy writes their lines, and no
    others. The caller of JSON gets an error in JSON, as Python's are, with the reason. The line has the same code.
    """
    write_model("affine")
    file = tmp_path / "access.log"
    server = kan_serve("--frontend", "envoy", "--access-log", str(file), "--max-message-bytes", "100000")
    with grpc.insecure_channel(server.grpc) as channel:
        method: Any = channel.unary_unary("/kan_api.v1.PredictionService/Predict")
        with pytest.raises(grpc.RpcError):
            method(bytes(200_000), timeout=60, metadata=[("x-request-id", "x" * 5000)])
    url, headers = f"http://{server.grpc}/kan_api.v1.PredictionService/Predict", {"content-type": "application/json"}
    answers: list[Any] = []
    for body in (b"{", b" " * (MAX_JSON_BYTES + 1)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60)
        with caught.value as error:
            assert error.headers["content-type"] == "application/json"
            answers.append(json.load(error))
    assert server.stop()[0] == 0
    text = file.read_bytes().splitlines()
    assert max(map(len, text)) < MOST_LINE_BYTES
    lines = [json.loads(line) for line in text]
    assert [(line["details"].partition("{")[0], line["http_code"]) for line in lines] == [
        ("request_payload_too_large", 200),
        ("grpc_json_transcode_failure", 400),
        ("request_payload_too_large", 429),
    ]
    assert {line["method"] for line in lines} == {"/kan_api.v1.PredictionService/Predict"}
    assert [line["code"] for line in lines] == ["RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"]
    assert {len(line) for line in lines} == {9}
    assert [(answer["code"], answer["details"]) for answer in answers] == [(3, []), (8, [])]
    assert "end of string" in answers[0]["message"]


def test_lines_of_envoy_and_python_do_not_mix(kan_serve: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """While Python answers, Envoy refuses thousands of calls by itself: each line of the log is a whole one."""
    write_model("affine")
    file = tmp_path / "access.log"
    server = kan_serve("--frontend", "envoy", "--access-log", str(file))

    def send_no_json(times: int) -> None:
        with closing(http.client.HTTPConnection(server.grpc)) as connection:
            for _ in range(times):
                connection.request("POST", KanApi.path, b"{", {"content-type": "application/json"})
                assert connection.getresponse().read()

    request = KanApi.request("affine", np.ones((1, 4), np.float32))
    with calling(server.grpc, request) as load, ThreadPoolExecutor(2) as pool:
        list(pool.map(send_no_json, [1000, 1000]))
    assert server.stop()[0] == 0
    codes = Counter(json.loads(line).get("http_code", "answered") for line in file.read_bytes().splitlines())
    assert codes == {400: 2000, "answered": load.answered}


_JSON = {
    "/kan_api.v1.PredictionService/Predict": {
        "model": "affine",
        "features": {"rows": 1, "columns": 4, "values": [1] * 4},
    },
    "/v1/models/affine:explain": {"instances": [[1, 2, 3, 4]]},
}


@pytest.mark.parametrize("path", _JSON)
def test_json_needs_a_token_too(kan_serve: Start, write_model: WriteModel, tmp_path: Path, path: str) -> None:
    """JSON that Envoy or Python converts is 401 without a valid token, and 403 beyond its rights."""
    add_attribution(write_model("affine"))
    rights = {"alice": "", "bob": 'models = ["other"]', "carol": 'methods = ["ListModels"]'}
    server = kan_serve("--frontend", "envoy", "--tokens", str(write_tokens(tmp_path / "tokens.toml", **rights)))
    body = json.dumps(_JSON[path]).encode()

    def code(token: str | None) -> int:
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(f"http://{server.grpc}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert {token: code(token) for token in (None, "wrong")} == {None: 401, "wrong": 401}
    assert {name: code(secret(name)) for name in ("alice", "bob", "carol")} == {"alice": 200, "bob": 403, "carol": 403}


def test_no_folder_to_write_in(models: Path) -> None:
    """Without a temporary folder it names the need in one line, and ends with exit code 1."""
    flags = ["--models", str(models), "--frontend", "envoy", "--grpc-port", "0", "--http-port", "0"]
    program = (
        f"import tempfile; tempfile.tempdir = '/absent'; import service.cli as c; raise SystemExit(c.main({flags}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "needs a temporary folder" in done.stderr.splitlines()[-1]
