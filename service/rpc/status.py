"""How a call ended: gRPC's codes, without gRPC, and which of our errors is which."""

from collections.abc import Mapping
from enum import IntEnum

from service.errors import (
    AnswerTooLarge,
    DeadlineExceeded,
    Draining,
    Forbidden,
    InferenceFailed,
    InvalidRequest,
    ModelNotFound,
    ModelNotReady,
    NotPublished,
    Overloaded,
    QuotaExceeded,
    RepositoryUnreadable,
    ServiceError,
    Unauthenticated,
    Unsupported,
    excerpt,
)

# Trailers hold 8 KiB; a character can take 12 bytes of them once it is percent-encoded.
_LONGEST_MESSAGE = 512


class Code(IntEnum):
    """Status of a call, with gRPC's names and numbers."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


CODES: Mapping[type[ServiceError], Code] = {
    InvalidRequest: Code.INVALID_ARGUMENT,
    ModelNotFound: Code.NOT_FOUND,
    ModelNotReady: Code.UNAVAILABLE,
    RepositoryUnreadable: Code.UNAVAILABLE,
    Draining: Code.UNAVAILABLE,
    NotPublished: Code.FAILED_PRECONDITION,
    Overloaded: Code.RESOURCE_EXHAUSTED,
    QuotaExceeded: Code.RESOURCE_EXHAUSTED,
    Unauthenticated: Code.UNAUTHENTICATED,
    Forbidden: Code.PERMISSION_DENIED,
    AnswerTooLarge: Code.RESOURCE_EXHAUSTED,
    DeadlineExceeded: Code.DEADLINE_EXCEEDED,
    InferenceFailed: Code.INTERNAL,
    Unsupported: Code.UNIMPLEMENTED,
}


class RpcError(Exception):
    """A call that failed, as the caller is told.

    Args:
        code: The status.
        message: What came and what was wanted.
        retry_after_seconds: Before that another try is useless; None where nothing is known.

    Attributes:
        request_id: Names the call in the log; "" if it never got to its handler.
    """

    def __init__(self, code: Code, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        self.request_id = ""

    def trailers(self) -> list[tuple[str, str]]:
        """What goes into the trailers beside code and message."""
        trailers = [("x-request-id", self.request_id)] if self.request_id else []
        if self.retry_after_seconds is not None:
            # The name that gRPC's own retries know.
            trailers.append(("grpc-retry-pushback-ms", str(max(1, round(1e3 * self.retry_after_seconds)))))
        return trailers


class Unreadable(RpcError):
    """A call that was refused while its messages were read. Front ends count it, as its handler never knew of it."""


LATE = RpcError(Code.DEADLINE_EXCEEDED, "the deadline passed before the answer was ready")


def status_of(error: ServiceError) -> Code:
    """The status code of an error; INTERNAL for a class that the table does not have."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), Code.INTERNAL)


def shorten(message: str) -> str:
    """A message that fits into trailers: names and values in it come from callers and may be long."""
    return excerpt(message, _LONGEST_MESSAGE)
