"""Errors that a caller of the service can get, as one tree. Every message says what to do next."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Final, cast

import grpc

from kan_api.cells import quoted

_PUSHBACK = "grpc-retry-pushback-ms"
# gRPC's details of a call whose connection ended.
_LOST = ("Stream removed", "Socket closed", "recvmsg:", "sendmsg:")
# gRPC's reasons when a connection was made and nothing came on it within 5 s, in plain text and in a TLS handshake.
_SILENT = ("timed out before receiving SETTINGS", "Handshake read failed (Endpoint closing")
# The details that grpc gives if the server ends a stream and its status does not reach us. The first comes from
# grpc.aio while a request is being sent (as INTERNAL), the second before the handler was called.
_ENDED = ("Internal error from Core", "CANCELLED")
_SHOWN_NAMES = 10


class ClientError(Exception):
    """A call failed.

    code  the gRPC status of the server. If the client found the fault itself, the status that a server would send.
    """

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN


class InvalidInput(ClientError):
    """The rows do not fit the model."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(ClientError):
    """The server has no model or version of that name."""

    code = grpc.StatusCode.NOT_FOUND


class Unauthenticated(ClientError):
    """The server asks for a token, and the client sent none, a wrong one, or one that has expired."""

    code = grpc.StatusCode.UNAUTHENTICATED


class Forbidden(ClientError):
    """The client's token may not call this method, or may not use this model."""

    code = grpc.StatusCode.PERMISSION_DENIED


class NotPublished(ClientError):
    """The version lacks a part that the call needs, for example attribution.onnx. The message names the command."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Overloaded(ClientError):
    """Too many rows are waiting at the server, or the message is too large for it.

    retry_after_seconds  time before which another try is useless, as the server reported it. None: another try would
                         fail too, for example because the message is too large.
    """

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    retry_after_seconds: float | None = None


class DeadlineExceeded(ClientError):
    """No answer came within the given time."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Unavailable(ClientError):
    """No server listens at the address, or the server is starting or stopping. Retries did not help."""

    code = grpc.StatusCode.UNAVAILABLE


class ConnectionLost(Unavailable):
    """The connection ended during the call. Nobody knows whether the server computed the answer."""


class NotConnected(Unavailable):
    """No connection could be made.

    is_reachable  whether something listens at the address
    is_refused    whether one address of the host name refused the connection; gRPC reports one address's error only
    is_silent     whether connections were made, and nothing came on them
    """

    is_reachable = is_refused = is_silent = False


# Ends of a table after which its rest can be asked for: nothing is wrong with its rows.
INTERRUPTIONS: Final = (
    *(KeyboardInterrupt, SystemExit),
    *(Overloaded, DeadlineExceeded, Unavailable, Unauthenticated, Forbidden),
)


def from_rpc_error(error: grpc.RpcError, address: str, timeout_seconds: float) -> ClientError:
    """The error of the client for an error of grpc.

    Args:
        error: as raised by grpc.
        address: the server that was called.
        timeout_seconds: the time that the call was given.
    """
    call = cast(grpc.Call, error)
    return from_status(call.code(), call.details() or "", address, timeout_seconds, _pushback_seconds(call))


def stream_error(error: grpc.RpcError, address: str, timeout_seconds: float, seconds_left: float) -> ClientError:
    """As :func:`from_rpc_error`, for a stream, with the time that is left of its own."""
    if cast(grpc.Call, error).details() not in _ENDED:
        return from_rpc_error(error, address, timeout_seconds)
    code = grpc.StatusCode.UNAVAILABLE if seconds_left else grpc.StatusCode.DEADLINE_EXCEEDED
    return from_status(code, "the server ended the stream", address, timeout_seconds)


def from_status(
    code: grpc.StatusCode, details: str, address: str, timeout_seconds: float, retry_after_seconds: float | None = None
) -> ClientError:
    """The error for a status code and its details; arguments as those of :func:`from_rpc_error` and Overloaded."""
    details = " ".join(details.split())
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidInput(f"{address} refused the rows: {details}")
    if code is grpc.StatusCode.NOT_FOUND:
        return NotFound(f"{address}: {details}")
    if code is grpc.StatusCode.UNAUTHENTICATED:
        how = "; give it with --token-file or KAN_TOKEN (in Python token=)" if " has no token" in details else ""
        return Unauthenticated(f"{address}: {details}{how}")
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return Forbidden(f"{address}: {details}")
    if code is grpc.StatusCode.FAILED_PRECONDITION:
        return NotPublished(f"{address}: {details}")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # These say themselves what to do: a later try would fail too, or its time is told.
        says_how = " again after " in details or " raise the bound" in details
        how = "" if says_how else "; try again later or send fewer rows at a time"
        overloaded = Overloaded(f"{address} has refused the call: {details}{how}")
        overloaded.retry_after_seconds = retry_after_seconds
        return overloaded
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(f"no answer from {address} within {timeout_seconds:.3g} s; allow more timeout_seconds")
    if code is grpc.StatusCode.UNAVAILABLE:
        return _unavailable(address, details)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        result = ClientError(f"{address} does not know this call ({details}); is it a kan-serve of this version?")
    else:
        result = ClientError(f"{address} failed with {code.name}: {details}")
    result.code = code
    return result


def _pushback_seconds(call: grpc.Call) -> float | None:
    """The time before another try that the trailers give; None if they give none."""
    text = str(dict(call.trailing_metadata() or ()).get(_PUSHBACK, ""))
    # In gRPC a negative number means "do not try again".
    return int(text) / 1e3 if text.isascii() and text.isdecimal() else None


def cancellation(address: str) -> ClientError:
    """The error of a call that was waiting when its client was closed."""
    result = ClientError(f"{address} failed with CANCELLED: the client was closed")
    result.code = grpc.StatusCode.CANCELLED
    return result


def list_names(names: list[str]) -> str:
    """Names in double quotes. Of a long list, the first ten and the number of the others."""
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(quoted(name) for name in names[:_SHOWN_NAMES]) + more


def near_names(absent: Iterable[str], present: Sequence[str]) -> str:
    """The end of a message on absent names: those that are present and look like them; "" if none does."""
    near = dict.fromkeys(name for one in absent for name in difflib.get_close_matches(one, present, n=1))
    return f"; near: {list_names(list(near))}" if near else ""


def _unavailable(address: str, details: str) -> Unavailable:
    # Only the text of grpc's message tells whether the server is absent or has answered UNAVAILABLE itself.
    if "last error: " in details or any(word in details.lower() for word in ("failed to connect", "resol")):
        reason = details.rstrip(".]) ").rpartition(": ")[2]
        if "Failed parsing HTTP/2" in details:
            return NotConnected(f"{address} does not speak gRPC: is it the HTTP port? kan-serve's line says both ports")
        is_silent = any(words in reason for words in _SILENT)
        what = f"no server at {address}: is kan-serve running? ({reason})"
        if is_silent:
            what = (
                f"{address} takes connections and says nothing: is its process stopped or overloaded, or is it no gRPC "
                f"server? ({reason}); try again in a moment"
            )
        error = NotConnected(what)
        error.is_silent = is_silent
        if "last error: " in details:
            error.is_refused = "refused" in reason
            error.is_reachable = not error.is_refused
        return error
    if "it was refused: " in details:  # kan-serve's word for a version that another call will not find either
        return Unavailable(
            f"{address} does not serve it: {details}; publish the model again, or put a version back that loads"
        )
    if details.startswith(_LOST):
        return ConnectionLost(f"{address} closed the connection during the call: {details}; try again in a moment")
    return Unavailable(f"{address} is not ready: {details}; try again in a moment")
