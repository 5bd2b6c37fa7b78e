"""Which filters of Envoy a request passes, how long its body may be and how long it may take to come.

The filters themselves are in envoy_configuration.py. Source: Envoy's API, version 3.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from kan_api.v1 import prediction_pb2
from service.frontends.envoy import message_header
from service.rpc.limits import MAX_JSON_BYTES
from service.rpc.status import LATE, Code

# gRPC puts 5 bytes before a message. A body a little longer still gets to Python, which can say how long it is.
_FRAMING_BYTES = 64

# What Envoy keeps for Python before it stops reading a call, beside the call's window.
_BUFFER_BYTES = 16 * 1024

# The sources of the filter in Lua, which does nothing but where a route names one.
MESSAGE, TOKEN = "message", "token"

_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"

# The transcoder's own; Envoy drops what a caller sends under that name.
ORIGINAL_PATH = "x-envoy-original-path"

# The body is not valid JSON, or its fields have wrong types.
_NO_JSON: Mapping[str, Any] = {
    "extension_filter": {
        "name": "envoy.access_loggers.extension_filters.cel",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            "expression": 'response.code_details.startsWith("grpc_json_transcode_failure") && response.code == 400',
        },
    }
}

_SERVICE = prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"]

# gRPC and gRPC-Web.
_IS_GRPC: Mapping[str, Any] = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}

_HAS_TOKEN: Mapping[str, Any] = {"name": "authorization", "present_match": True}

_HAS_PLACE: Mapping[str, Any] = {"name": message_header.NO_PLACE_HEADER, "present_match": False}

# Not what browsers let pages of any origin send. Envoy would take compressed JSON for plain, and merge a query into the
# message.
_IS_JSON = (
    {"name": "content-type", "string_match": {"safe_regex": {"regex": r"(?i)application/json\s*(;.*)?"}}},
    {"name": "content-encoding", "present_match": False},
    {"name": ":path", "string_match": {"contains": "?"}, "invert_match": True},
)


def routes(max_message_bytes: int, *, has_tokens: bool) -> list[dict[str, Any]]:
    """Which filters a call passes beside those that all do; the first route that matches is taken.

    Bodies that Envoy has to hold as a whole are bounded: those that it puts into a header, and JSON. Of these calls it
    keeps a deadline too (call_headers.py), since Python knows of them only once all is there. Where calls need a token,
    Envoy holds nothing of a call without one, and no JSON of a call with a wrong one: Python refuses both at once.
    Few messages wait for a header at once, so Envoy does not look at their tokens, which would cost each call 5 µs.

    Args:
        max_message_bytes: Longest message, without gRPC's prefix.
        has_tokens: Whether calls need a token.
    """
    in_header = _lua(MESSAGE)
    converted = {
        "envoy.filters.http.grpc_json_transcoder": {
            "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
            "config": {},
        }
    }
    bounded = {**(_lua(TOKEN) if has_tokens else {}), **_buffer(buffer={"max_request_bytes": MAX_JSON_BYTES})}
    grpc, json = [_IS_GRPC, _HAS_PLACE, *([_HAS_TOKEN] if has_tokens else [])], [*_IS_JSON, _HAS_PLACE]
    return [
        *(
            _held({"path": path, "headers": grpc}, in_header, max_message_bytes + _FRAMING_BYTES)
            for path in message_header.PATHS
        ),
        *(
            _held({"path": path, "headers": json}, {**bounded, **converted}, MAX_JSON_BYTES)
            for path in _paths(streaming=False)
        ),
        # Those with one message get here only if they lack the token. The filter that would hold it is there by now.
        *(
            _route({"path": path, "headers": _IS_JSON}, {**_buffer(disabled=True), **converted})
            for path in (*_paths(streaming=True), *_paths(streaming=False))
        ),
        {**_route({"prefix": "/"}, {}), "request_body_buffer_limit": _BUFFER_BYTES},
    ]


def _paths(*, streaming: bool) -> list[str]:
    """Our methods that take one message, or those that take many."""
    return [f"/{_SERVICE.full_name}/{each.name}" for each in _SERVICE.methods if each.client_streaming == streaming]


def _lua(name: str) -> dict[str, Any]:
    """What a route says for the filter in Lua: which of its sources to run."""
    return {"envoy.filters.http.lua": {"@type": f"{_FILTERS}.lua.v3.LuaPerRoute", "name": name}}


def _buffer(**fields: Any) -> dict[str, Any]:
    """What a route says for the filter that holds bodies."""
    return {"envoy.filters.http.buffer": {"@type": f"{_FILTERS}.buffer.v3.BufferPerRoute", **fields}}


def _route(match: Mapping[str, Any], filters: Mapping[str, Any]) -> dict[str, Any]:
    return {"match": match, "non_forwarding_action": {}, "typed_per_filter_config": filters}


def _held(match: Mapping[str, Any], filters: Mapping[str, Any], most_bytes: int) -> dict[str, Any]:
    """A route whose bodies are held as a whole. Only those that lead somewhere take a deadline: this one to nowhere."""
    action = {"cluster": "none", "max_stream_duration": {"grpc_timeout_header_max": "0s"}}
    return {
        "match": match,
        "route": action,
        "typed_per_filter_config": filters,
        "request_body_buffer_limit": most_bytes,
    }


def refusals(max_message_bytes: int) -> list[dict[str, Any]]:
    """What Envoy says where a body passes its bound or its deadline, as the methods do; and where it is not valid JSON.

    Args:
        max_message_bytes: As for :func:`routes`.
    """
    large = f"Received message larger than max (more than {max_message_bytes}); max_message_bytes"
    large_json = f"Received JSON larger than max (more than {MAX_JSON_BYTES} bytes); gRPC takes larger messages"
    size = _status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    # Which of the two it is depends on whether all of the request was there.
    time = {"or_filter": {"filters": [_status(HTTPStatus.REQUEST_TIMEOUT), _status(HTTPStatus.GATEWAY_TIMEOUT)]}}
    # The transcoder makes a gRPC call of JSON; what it keeps of the old one tells.
    was_json = {"header_filter": {"header": {"name": ORIGINAL_PATH, "present_match": True}}}
    refused = Code.RESOURCE_EXHAUSTED
    in_json = [
        (size, HTTPStatus.TOO_MANY_REQUESTS, refused, large_json),
        (time, HTTPStatus.GATEWAY_TIMEOUT, LATE.code, LATE.message),
    ]
    # The first that matches is taken.
    return [
        *(_in_json({"and_filter": {"filters": [each[0], was_json]}}, *each[1:]) for each in in_json),
        _in_grpc(size, refused, large),
        _in_grpc(time, LATE.code, LATE.message),
        *(_in_json(*each) for each in in_json),
        _in_json(_NO_JSON, HTTPStatus.BAD_REQUEST, Code.INVALID_ARGUMENT, None),
    ]


def _status(status: HTTPStatus) -> dict[str, Any]:
    equal = {"op": "EQ", "value": {"default_value": int(status), "runtime_key": "-"}}
    return {"status_code_filter": {"comparison": equal}}


def _in_grpc(which: Mapping[str, Any], code: Code, text: str) -> dict[str, Any]:
    """In headers alone: of a body, and of an HTTP status, the filter for gRPC-Web would make another code."""
    headers = {"grpc-status": str(int(code)), "grpc-message": text}
    return {
        "filter": {"and_filter": {"filters": [which, {"header_filter": {"header": _IS_GRPC}}]}},
        "status_code": int(HTTPStatus.OK),
        "body_format_override": {"text_format_source": {"inline_string": ""}, "content_type": "application/grpc"},
        "headers_to_add": _overwritten(headers),
    }


def _in_json(which: Mapping[str, Any], status: HTTPStatus, code: Code, text: str | None) -> dict[str, Any]:
    """As the transcoder writes an error. Without a text Envoy's own stays."""
    return {
        "filter": which,
        "status_code": int(status),
        **({} if text is None else {"body": {"inline_string": text}}),
        "body_format_override": {"json_format": {"code": int(code), "message": "%LOCAL_REPLY_BODY%", "details": []}},
        # For the access log, which would make a code of the HTTP status: INTERNAL of 400, UNAVAILABLE of 504.
        "headers_to_add": _overwritten({"grpc-status": str(int(code))}),
    }


def _overwritten(headers: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for key, value in headers.items()
    ]
