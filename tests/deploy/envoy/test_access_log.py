"""Envoy's own access log in jwt.json: who called, and what became of it."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.deploy.envoy.guarded import Guarded, guarding
from tests.kit.callers.protocols import KanApi
from tests.kit.server.programs import free_ports
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.deploy

_REQUEST = KanApi.request("digits", np.zeros((1, 64), np.float32), key="the-payload")
_FIELDS = {"time", "request_id", "peer", "subject", "method", "code", "http_code", "details", "milliseconds"}


def test_a_line_tells_who_called(guarded: Guarded) -> None:
    """A call has one line: method, status, duration, peer, subject and request id; neither payload nor token."""
    token = guarded.issuer.token(sub="alice@example.com")
    assert _code(guarded, token, request_id="one-of-alice") == "OK"
    line = _line(guarded, "one-of-alice")
    assert line.keys() == _FIELDS
    assert (line["subject"], line["method"], line["code"]) == ("alice@example.com", KanApi.path, "OK")
    assert line["peer"].startswith("127.0.0.1:")
    assert line["milliseconds"] >= 0
    _has_no_secret(guarded, token)


def test_a_refused_call_has_a_line_without_a_subject(guarded: Guarded) -> None:
    """Nothing that a caller claims stands in it: neither what they write as a subject nor an unsigned claim."""
    token = guarded.issuer.token(sub="mallory")[:-10]
    assert _code(guarded, token, request_id="refused", more=[("x-jwt-subject", "mallory")]) == "UNAUTHENTICATED"
    line = _line(guarded, "refused")
    assert (line["subject"], line["code"]) == (None, "UNAUTHENTICATED")
    assert line["details"].startswith("jwt_authn_access_denied")
    assert "mallory" not in guarded.output.read_text()
    _has_no_secret(guarded, token)


def test_a_token_in_the_query_stays_out(guarded: Guarded) -> None:
    """Envoy takes a token from the query too; the line has the path without it."""
    token = guarded.issuer.token()
    _code(guarded, None, request_id="query", path=f"{KanApi.path}?access_token={token}")
    assert _line(guarded, "query")["method"] == KanApi.path
    _has_no_secret(guarded, token)


def test_a_long_subject_is_cut(guarded: Guarded) -> None:
    """A line has bounded length, however long the subject."""
    assert _code(guarded, guarded.issuer.token(sub="x" * 3000), request_id="long") == "OK"
    assert _line(guarded, "long")["subject"] == "x" * 256


def test_a_subject_is_the_issuers(tmp_path: Path) -> None:
    """What a caller sends as x-jwt-subject, once or twice, never reaches a replica: only the signed claim does."""
    (port,) = free_ports(1)
    with _recording(port) as seen, guarding(tmp_path, port) as guarded:
        token = guarded.issuer.token(sub="alice")
        mallory = ("x-jwt-subject", "mallory")
        wait_for(lambda: _code(guarded, token, request_id="first") == "OK", "Envoy answers")
        for more in ([mallory], [mallory, mallory]):
            seen.clear()
            assert _code(guarded, token, request_id="other", more=more) == "OK"
            (metadata,) = (each for each in seen if ("x-request-id", "other") in each)
            assert [value for key, value in metadata if key == "x-jwt-subject"] == ["alice"]
            assert "authorization" not in dict(metadata)


@contextmanager
def _recording(port: int) -> Iterator[list[Sequence[tuple[str, str]]]]:
    """A server in the place of a replica: it answers every call and keeps its metadata."""
    seen: list[Sequence[tuple[str, str]]] = []

    class Everything(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            seen.append([(key, str(value)) for key, value in handler_call_details.invocation_metadata])
            # The answer is SERVING to Envoy's health check.
            return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"\x08\x01")

    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([Everything()])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield seen
    finally:
        server.stop(0).wait()


def _code(
    guarded: Guarded,
    token: str | None,
    *,
    request_id: str,
    path: str = KanApi.path,
    more: Sequence[tuple[str, str]] = (),
) -> str:
    """The status of one call with a token and more metadata."""
    metadata = [("x-request-id", request_id), *more, *([("authorization", f"Bearer {token}")] if token else [])]
    with guarded.channel() as channel:
        method: Any = channel.unary_unary(path)
        try:
            method(_REQUEST, timeout=30, metadata=metadata)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def _line(guarded: Guarded, request_id: str) -> dict[str, Any]:
    """The line of the one call with this id."""
    lines = wait_for(
        lambda: [
            line for line in guarded.output.read_text().splitlines(True) if request_id in line and line[-1] == "\n"
        ],
        "the whole line is there",
    )
    (line,) = lines
    found: dict[str, Any] = json.loads(line)
    return found


def _has_no_secret(guarded: Guarded, token: str) -> None:
    text = guarded.output.read_text()
    assert "the-payload" not in text
    for part in token.split("."):
        assert part not in text
