"""What a caller of the service can run into, as one tree; every message says what to do next."""

import json
from typing import cast

import grpc

_PUSHBACK = "grpc-retry-pushback-ms"
_SHOWN_CHARACTERS = 60
_SHOWN_NAMES = 10


class ClientError(Exception):
    """A call that gave no answer.

    code  the gRPC status: the server's, or the one it would have answered where the client saw the fault first
    """

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN


class InvalidInput(ClientError):
    """The rows do not fit the model."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(ClientError):
    """The server has no model or version of that name."""

    code = grpc.StatusCode.NOT_FOUND


class Overloaded(ClientError):
    """Too many rows are waiting at the server, or the message is too large for it.

    retry_after_seconds  how long another try is useless, by the server's word; None where it gave none, and another try
                         would fail too
    """

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    retry_after_seconds: float | None = None


class DeadlineExceeded(ClientError):
    """No answer within the time given."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Unavailable(ClientError):
    """Nobody listens at the address, or the server is starting or stopping; retries did not help."""

    code = grpc.StatusCode.UNAVAILABLE


def from_rpc_error(error: grpc.RpcError, address: str, timeout_seconds: float) -> ClientError:
    """The error that a failed call becomes.

    Args:
        error: as raised by grpc.
        address: where the call went.
        timeout_seconds: the time it had.
    """
    call = cast(grpc.Call, error)
    return from_status(call.code(), call.details() or "", address, timeout_seconds, _pushback_seconds(call))


def from_status(
    code: grpc.StatusCode, details: str, address: str, timeout_seconds: float, retry_after_seconds: float | None = None
) -> ClientError:
    """The error for a status and its words; arguments as those of :func:`from_rpc_error` and Overloaded."""
    details = " ".join(details.split())
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidInput(f"{address} refused the rows: {details}")
    if code is grpc.StatusCode.NOT_FOUND:
        return NotFound(f"{address}: {details}")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        overloaded = Overloaded(f"{address} is overloaded: {details}; try again later or send fewer rows at a time")
        overloaded.retry_after_seconds = retry_after_seconds
        return overloaded
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(f"no answer from {address} within {timeout_seconds:.3g} s; allow more timeout_seconds")
    if code is grpc.StatusCode.UNAVAILABLE:
        return Unavailable(_unavailable(address, details))
    if code is grpc.StatusCode.UNIMPLEMENTED:
        result = ClientError(f"{address} does not know this call ({details}); is it a kan-serve of this version?")
    else:
        result = ClientError(f"{address} failed with {code.name}: {details}")
    result.code = code
    return result


def _pushback_seconds(call: grpc.Call) -> float | None:
    """What the trailers say of when to come back."""
    text = str(dict(call.trailing_metadata() or ()).get(_PUSHBACK, ""))
    # Negative: gRPC's word for "not at all".
    return int(text) / 1e3 if text.isascii() and text.isdecimal() else None


def cancelled(address: str) -> ClientError:
    """The error of a call whose client was closed while it waited."""
    result = ClientError(f"{address} failed with CANCELLED: the client was closed")
    result.code = grpc.StatusCode.CANCELLED
    return result


def quoted(text: str) -> str:
    """A name or a cell in double quotes on one line, shortened when long."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return json.dumps(shown, ensure_ascii=False)


def listed(names: list[str]) -> str:
    """Names in double quotes; of many, the first ones and how many more."""
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(quoted(name) for name in names[:_SHOWN_NAMES]) + more


def _unavailable(address: str, details: str) -> str:
    # Only grpc's own words tell a server that is absent from one that says so itself.
    if any(word in details.lower() for word in ("failed to connect", "dns", "resol")):
        return f"no server at {address}: is kan-serve running? ({details})"
    return f"{address} is not ready: {details}; try again in a moment"
