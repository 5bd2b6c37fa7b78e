"""One gRPC channel to a server: limits, retries and deadlines, calls without generated stubs."""

import json
import time
from dataclasses import dataclass
from typing import Final, Self, TypeVar

import grpc
from google.protobuf.message import Message

from service.client.errors import from_rpc_error

MAX_MESSAGE_BYTES: Final = 2**24

_RETRIES = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
_OPTIONS = (
    ("grpc.service_config", _RETRIES),
    # A call is sent again only while the channel still holds all of it; by default it holds 256 KiB.
    ("grpc.per_rpc_retry_buffer_size", 2 * MAX_MESSAGE_BYTES),
    # An answer may be wider than its question, which the server has bounded.
    ("grpc.max_receive_message_length", -1),
    # By default a channel that was refused waits a second or more before it connects again: longer than the retries.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A server of one's own is reached directly, whatever http_proxy says.
    ("grpc.enable_http_proxy", 0),
)

_Response = TypeVar("_Response", bound=Message)


@dataclass(frozen=True)
class Deadline:
    """When something that takes several calls has to be over: `at` in monotonic seconds, `seconds` after its start."""

    seconds: float
    at: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """So many seconds from now.

        Raises:
            ValueError: when that is not a positive number, or years.
        """
        if not 0.0 < seconds < 1e7:
            raise ValueError(f"timeout_seconds is {seconds}, wanted a positive number of seconds below 1e7")
        return cls(seconds, time.monotonic() + seconds)


class Connection:
    """A channel that connects by itself, and again after it was cut; calls may come from any thread.

    Args:
        address: "host:port".

    Raises:
        ValueError: when the address is of another form.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        # Without a port grpc would try 443 and say nothing of it.
        if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 2**16) or "/" in address:
            raise ValueError(f"the address is {address!r}, wanted host:port as in 127.0.0.1:8001, ports up to 65535")
        self.address: Final = address
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)

    def call(self, path: str, request: Message, response: type[_Response], deadline: Deadline) -> _Response:
        """One call.

        Args:
            path: "/package.Service/Method".
            request: the message to send.
            response: the type of the message to receive.
            deadline: when it has to be over.

        Raises:
            ClientError: of the kind that fits, when there is no answer.
        """
        method = self._channel.unary_unary(
            path, request_serializer=type(request).SerializeToString, response_deserializer=response.FromString
        )
        try:
            return method(request, timeout=max(0.0, deadline.at - time.monotonic()))
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.address, deadline.seconds) from error

    def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._channel.close()
