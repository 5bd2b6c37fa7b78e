"""One call in JSON over HTTP that Python converts itself, beside those that Envoy converts: KServe's v1 form.

Its body is bounded as Envoy bounds JSON. Browsers send no JSON to other origins unless these allow it, so the
content-type is looked at; compressed bodies and queries are not taken.
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from service.frontends.asgi.open_call import OpenCall, Scope, Send
from service.protocols import kserve
from service.rpc.calls import Unary
from service.rpc.limits import MAX_JSON_BYTES
from service.rpc.status import Code, RpcError, Unreadable

_JSON = re.compile(rb"application/json\s*(;.*)?", re.IGNORECASE)
_PIECE_BYTES: Final = 512 * 1024
# Of google.rpc.Code, as Envoy's transcoder has them.
_HTTP: Final[Mapping[Code, HTTPStatus]] = {
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}


def json_method(scope: Scope, headers: Mapping[bytes, bytes], explain: Unary, max_request_rows: int) -> Unary | None:
    """The method that a request in JSON asks for; None if it is not one that Python converts.

    Args:
        scope: Of the request.
        headers: Of the request.
        explain: Explain of PredictionService.
        max_request_rows: Most rows that one request may bring.
    """
    is_json = _JSON.fullmatch(headers.get(b"content-type", b"")) and b"content-encoding" not in headers
    if not is_json or scope["method"] != "POST" or scope.get("query_string"):
        return None
    return kserve.method_at(scope["path"], explain, max_request_rows)


async def refuse_http(send: Send) -> None:
    """Tell a caller who speaks no gRPC, nor JSON that Envoy converts."""
    text = (
        b"this port speaks gRPC, gRPC-Web, and JSON for kan_api: POST /kan_api.v1.PredictionService/Predict with "
        b"content-type application/json, uncompressed, without a query; or POST /v1/models/NAME:explain, likewise; "
        b"/livez and /readyz are on the HTTP port, /metrics there or on a port of its own\n"
    )
    await send(
        {"type": "http.response.start", "status": 415, "headers": [(b"content-type", b"text/plain; charset=utf-8")]}
    )
    await send({"type": "http.response.body", "body": text, "more_body": False})


async def whole_body(call: OpenCall) -> bytes:
    """The body of a request.

    Raises:
        Unreadable: RESOURCE_EXHAUSTED: it is longer than the bound.
        Overloaded: There is no room for it.
    """
    pieces: list[bytes] = []
    size_bytes, more = 0, True
    while more:
        event = await call.next_piece()
        pieces.append(event["body"])
        size_bytes += len(event["body"])
        if size_bytes > MAX_JSON_BYTES:
            raise Unreadable(
                Code.RESOURCE_EXHAUSTED,
                f"Received JSON larger than max (more than {MAX_JSON_BYTES} bytes); gRPC takes larger messages",
            )
        call.held.receive(size_bytes)
        more = event["more_body"]
    call.body_read = True
    call.held.complete(size_bytes)
    return b"".join(pieces)


async def answer_json(call: OpenCall, body: bytes) -> None:
    """Send the answer."""
    call.started = True
    await call.send(_start(HTTPStatus.OK, len(body)))
    for at in range(0, len(body), _PIECE_BYTES):
        piece = body[at : at + _PIECE_BYTES]
        await call.send({"type": "http.response.body", "body": piece, "more_body": at + len(piece) < len(body)})


async def end_json(send: Send, error: RpcError, *, started: bool) -> None:
    """End a call with an error, as KServe does: {"error": "…"}. A call whose answer has begun just ends."""
    if started:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    body = json.dumps({"error": error.message}, ensure_ascii=False).encode()
    status = _HTTP.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    await send(_start(status, len(body), *((name.encode(), value.encode()) for name, value in error.trailers())))
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _start(status: HTTPStatus, length: int, *more: tuple[bytes, bytes]) -> Mapping[str, object]:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(length).encode()), *more]
    return {"type": "http.response.start", "status": int(status), "headers": headers}
