"""What Envoy is told: what it gives by configuration is used, not rewritten.

Connection age, keepalive, access log, gRPC-Web, JSON over HTTP are Envoy's. Source: Envoy's API, version 3.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor

from kan_api.v1 import prediction_pb2
from service.frontends.address import is_any_ipv6
from service.frontends.envoy import call_headers, message_header, routes, tls, token_gate
from service.rpc.limits import CONNECTION_STREAMS, MESSAGES_IN_FLIGHT, UNREAD_BYTES
from service.settings import Settings

# Names Envoy's statistics of the listener.
STAT_PREFIX = "grpc"

# What a caller may send ahead of what is read. Envoy's own windows would hold 100 MB for one that reads no answers.
_STREAM_WINDOW_BYTES = UNREAD_BYTES
_CONNECTION_WINDOW_BYTES = 4 * 2**20

# Python counts an answer until a stream's window of it is left. Nobody counts that last part, nor short answers: a
# caller who does not read one for so long loses it.
_FLUSH_SECONDS = 20

# One frame may carry every answer of a stream that is ready, and gRPC's clients send up to two window updates for each
# answer they read. Envoy's own bound is 10: it took such callers for a flood and reset their connections.
_WINDOW_UPDATES_PER_FRAME = 4 * MESSAGES_IN_FLIGHT

# Calls of one connection that callers may cancel at once, and then a second. Envoy's own bounds (250 within their first
# two seconds, 1,000 in all, 33 a second) take a client that gives up on its open calls for an attacker: its connection
# is closed, and its other calls fail. A proxy brings the calls of many callers on one connection. The danger of larger
# bounds: each cancelled call costs about 0.1 ms here, so one connection may take a second of processor time before it
# is closed, or a tenth of a core for as long as it likes.
_CANCELLED_AT_ONCE, _CANCELLED_A_SECOND = 10_000, 1_000

# Beside these, Envoy closes a connection where half of so many calls were cancelled in their first seconds.
_RUNTIME = {"overload.premature_reset_total_stream_count": 2 * _CANCELLED_AT_ONCE}

# In a line of Envoy's access log: the status that routes.refusals gives. It makes a code where Envoy has none.
STATUS_FIELD = "grpc_status"

_HTTP_FILTERS = "envoy.extensions.filters.http"
_ACCESS_LOGGERS = "envoy.extensions.access_loggers"

# Python writes the line of every request that it answers. Envoy writes those of the others, with the same names: it
# tells details only of what it answered itself, and code 0 of a caller who left. Texts are cut, as Python's are.
_ACCESS_FILTER = 'response.code != 0 && response.code_details != ""'
_ACCESS_LINE = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID):256%",
    "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
    "certificate": "%CEL(connection.subject_peer_certificate):256%",  # DOWNSTREAM_PEER_SUBJECT takes no length
    "method": "%PATH(NQ:PATH):256%",  # a query may hold a token
    "code": "%GRPC_STATUS(SNAKE_STRING)%",  # null where the request is no gRPC: JSON that was not converted
    STATUS_FIELD: "%RESP(GRPC-STATUS)%",
    "http_code": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "milliseconds": "%DURATION%",
}


def admin_path(folder: Path) -> Path:
    """The socket of Envoy's admin API; who may enter the folder may use it."""
    return folder / "admin.sock"


def access_pipe(folder: Path) -> Path:
    """The pipe that gets Envoy's lines of the access log."""
    return folder / "access.pipe"


def configuration(
    application: str, module: str, settings: Settings, addresses: Sequence[str], port: int, folder: Path
) -> dict[str, Any]:
    """Envoy's bootstrap configuration.

    Args:
        application: The ASGI application, as "module:attribute".
        module: File of pyvoy's dynamic module.
        settings: Limits.
        addresses: What to listen on: numbers, since Envoy takes no names here.
        port: The port, of all of them.
        folder: Where the admin socket is made, and the pipe of the access log and the files of
            :func:`service.frontends.envoy.tls.write_secrets` are.
    """
    found = routes.routes(settings.max_message_bytes, has_tokens=bool(settings.tokens))
    dropped = (message_header.HEADER.decode(), message_header.NO_PLACE_HEADER, routes.ORIGINAL_PATH)
    manager = {
        "stat_prefix": STAT_PREFIX,
        "generate_request_id": False,
        "server_name": "kan-serve",
        # Calls end by their own deadlines, and where one never ends its request by its caller's; a stream may be
        # silent for as long as its caller likes.
        "stream_idle_timeout": "0s",
        "stream_flush_timeout": f"{_FLUSH_SECONDS}s",
        "common_http_protocol_options": {
            "idle_timeout": "0s",
            **(
                {"max_connection_duration": f"{settings.max_connection_age_seconds}s"}
                if settings.max_connection_age_seconds
                else {}
            ),
        },
        "drain_timeout": f"{settings.max_connection_age_grace_seconds}s",
        "http2_protocol_options": {
            "max_concurrent_streams": CONNECTION_STREAMS,
            "initial_stream_window_size": _STREAM_WINDOW_BYTES,
            "initial_connection_window_size": _CONNECTION_WINDOW_BYTES,
            "max_inbound_window_update_frames_per_data_frame_sent": _WINDOW_UPDATES_PER_FRAME,
            "stream_reset_burst": _CANCELLED_AT_ONCE,
            "stream_reset_rate": _CANCELLED_A_SECOND,
            **_keepalive(settings),
        },
        "access_log": _access_log(access_pipe(folder)) if settings.access_log else [],
        # What a caller sends under these names is neither message nor deadline.
        "early_header_mutation_extensions": [
            _typed(
                "envoy.http.early_header_mutation.header_mutation",
                "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                {
                    "mutations": [*({"remove": name} for name in dropped), *call_headers.mutations()],
                },
            )
        ],
        "local_reply_config": {"mappers": routes.refusals(settings.max_message_bytes)},
        "route_config": {
            "validate_clusters": False,
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": found}],
        },
        "http_filters": [
            _http_filter("grpc_web", "GrpcWeb"),
            # Before those that hold bodies.
            _http_filter("lua", "Lua", source_codes=_lua_sources(folder, has_tokens=bool(settings.tokens))),
            _http_filter("buffer", "Buffer", disabled=True, max_request_bytes=1),
            _http_filter(
                "grpc_json_transcoder",
                "GrpcJsonTranscoder",
                disabled=True,
                proto_descriptor_bin=_descriptors(prediction_pb2.DESCRIPTOR),
                services=[service.full_name for service in prediction_pb2.DESCRIPTOR.services_by_name.values()],
                auto_mapping=True,
                convert_grpc_status=True,
                print_options={"always_print_primitive_fields": True, "preserve_proto_field_names": True},
            ),
            _http_filter(
                "dynamic_modules",
                "DynamicModuleFilter",
                dynamic_module_config={"module": {"local": {"filename": module}}},
                filter_name="pyvoy",
                terminal_filter=True,
                filter_config={
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": json.dumps(
                        {"app": application, "interface": "asgi", "root_path": "", "lifespan": True, "loop": "uvloop"}
                    ),
                },
            ),
        ],
    }
    listener = {
        "name": "grpc",
        "address": _address(addresses[0], port),
        "additional_addresses": [{"address": _address(each, port)} for each in addresses[1:]],
        # By default a second server could bind the same port in silence.
        "enable_reuse_port": settings.workers != 1,
        "filter_chains": [
            {
                **tls.transport_socket(settings, folder),
                "filters": [
                    _typed(
                        "envoy.filters.network.http_connection_manager",
                        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                        manager,
                    )
                ],
            }
        ],
    }
    return {
        "node": {"id": "kan-serve", "cluster": "kan-serve"},  # wanted by those who read secrets
        "admin": {"address": {"pipe": {"path": str(admin_path(folder)), "mode": 0o600}}},
        "layered_runtime": {"layers": [{"name": "cancelled", "static_layer": _RUNTIME}]},
        "static_resources": {"listeners": [listener]},
    }


def _address(address: str, port: int) -> dict[str, Any]:
    """A socket's; IPv4 callers are taken where every address is, as gRPC does."""
    compatible = {"ipv4_compat": True} if is_any_ipv6(address) else {}
    return {"socket_address": {"address": address, "port_value": port, **compatible}}


def _keepalive(settings: Settings) -> dict[str, Any]:
    if not settings.keepalive_seconds:
        return {}
    return {
        "connection_keepalive": {
            "interval": f"{settings.keepalive_seconds}s",
            "timeout": f"{settings.keepalive_timeout_seconds}s",
        }
    }


def _access_log(pipe: Path) -> list[dict[str, Any]]:
    fields = {"path": str(pipe), "log_format": {"json_format": _ACCESS_LINE}}
    logger = _typed("envoy.access_loggers.file", f"{_ACCESS_LOGGERS}.file.v3.FileAccessLog", fields)
    own = _typed(
        "envoy.access_loggers.extension_filters.cel",
        f"{_ACCESS_LOGGERS}.filters.cel.v3.ExpressionFilter",
        {"expression": _ACCESS_FILTER},
    )
    return [{**logger, "filter": {"extension_filter": own}}]


def _lua_sources(folder: Path, *, has_tokens: bool) -> dict[str, Any]:
    sources = {routes.MESSAGE: message_header.SOURCE}
    if has_tokens:
        sources[routes.TOKEN] = token_gate.source(folder)
    return {name: {"inline_string": source} for name, source in sources.items()}


def _typed(name: str, kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/{kind}", **fields}}


def _http_filter(name: str, kind: str, *, disabled: bool = False, **fields: Any) -> dict[str, Any]:
    """A filter; a disabled one is on where a route enables it."""
    filter_ = _typed(f"envoy.filters.http.{name}", f"{_HTTP_FILTERS}.{name}.v3.{kind}", fields)
    return {**filter_, "disabled": True} if disabled else filter_


def _descriptors(file: FileDescriptor) -> str:
    """A .proto file and what it imports, as Envoy takes descriptors: base64."""
    files = descriptor_pb2.FileDescriptorSet()

    def add(descriptor: FileDescriptor) -> None:
        for dependency in descriptor.dependencies:
            add(dependency)
        if descriptor.name not in {each.name for each in files.file}:
            descriptor.CopyToProto(files.file.add())

    add(file)
    return base64.b64encode(files.SerializeToString()).decode()
