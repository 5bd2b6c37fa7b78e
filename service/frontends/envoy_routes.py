"""Which filters of Envoy a request passes, how long its body may be, and what is said where it is longer.

The filters themselves are in envoy_configuration.py. Source: Envoy's API, version 3.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from kan_api.v1 import prediction_pb2
from service.frontends import message_header
from service.status import Code

# gRPC puts 5 bytes before a message. A body a little longer still gets to Python, which can say how long it is.
_FRAMING_BYTES = 64

# How much longer JSON may be than the message it stands for: a float32 takes 3 to 5 times its 4 bytes, escapes 6.
_JSON_TIMES = 8

_SERVICE = prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"]

# gRPC and gRPC-Web.
_IS_GRPC: Mapping[str, Any] = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}


def routes(max_message_bytes: int) -> list[dict[str, Any]]:
    """Which filters a call passes beside those that all do; the first route that matches is taken.

    Bodies that Envoy has to hold as a whole are bounded: those that it puts into a header, and JSON, which takes
    several times its memory while it is converted. What is not gRPC is taken for JSON, and converted nowhere else.

    Args:
        max_message_bytes: Longest message, without gRPC's prefix.
    """
    in_header = {"envoy.filters.http.lua": message_header.on_route()}
    converted = {
        "envoy.filters.http.grpc_json_transcoder": {
            "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
            "config": {},
        }
    }
    bounded = {
        "envoy.filters.http.buffer": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
            "buffer": {"max_request_bytes": _json_bytes(max_message_bytes)},
        }
    }

    def route(match: Mapping[str, Any], filters: Mapping[str, Any], most_bytes: int | None = None) -> dict[str, Any]:
        limit = {} if most_bytes is None else {"request_body_buffer_limit": most_bytes}
        return {"match": match, "non_forwarding_action": {}, "typed_per_filter_config": filters, **limit}

    grpc = {"headers": [_IS_GRPC]}
    streams = [f"/{_SERVICE.full_name}/{method.name}" for method in _SERVICE.methods if method.client_streaming]
    return [
        *(
            route({"path": path, **grpc}, in_header, max_message_bytes + _FRAMING_BYTES)
            for path in message_header.PATHS
        ),
        route({"prefix": "/", **grpc}, {}),
        *(route({"path": path}, converted) for path in streams),
        route({"prefix": "/"}, {**bounded, **converted}, _json_bytes(max_message_bytes)),
    ]


def _json_bytes(max_message_bytes: int) -> int:
    return min(_JSON_TIMES * max_message_bytes, 2**32 - 1)


def refusals(max_message_bytes: int) -> list[dict[str, Any]]:
    """What Envoy says where a body passes its bound: RESOURCE_EXHAUSTED in gRPC and in JSON, as the methods do.

    Args:
        max_message_bytes: As for :func:`routes`.
    """
    too_large = {"op": "EQ", "value": {"default_value": int(HTTPStatus.REQUEST_ENTITY_TOO_LARGE), "runtime_key": "-"}}
    by_status = {"status_code_filter": {"comparison": too_large}}
    text = f"Received message larger than max (more than {max_message_bytes}); max_message_bytes"
    json_text = (
        f"Received JSON larger than max (more than {_json_bytes(max_message_bytes)}); "
        f"{_JSON_TIMES} times max_message_bytes"
    )
    code = int(Code.RESOURCE_EXHAUSTED)
    in_grpc = {
        "filter": {"and_filter": {"filters": [by_status, {"header_filter": {"header": _IS_GRPC}}]}},
        "body": {"inline_string": text},
        "headers_to_add": [{"header": {"key": "grpc-status", "value": str(code)}}],
    }
    in_json = {
        "filter": by_status,
        "status_code": int(HTTPStatus.TOO_MANY_REQUESTS),
        "body": {"inline_string": json_text},
        "body_format_override": {"json_format": {"code": code, "message": "%LOCAL_REPLY_BODY%", "details": []}},
    }
    return [in_grpc, in_json]
