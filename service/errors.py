"""What can go wrong while serving, without a word of gRPC. status.py holds the table to status codes."""

# A reason goes into log lines, listings and messages, and may hold what others wrote: names, and whole graphs where
# onnxruntime tells them.
_LONGEST_REASON = 1000


class ServiceError(Exception):
    """Root of every error that a caller is told about; its message says what came and what was wanted."""


class InvalidRequest(ServiceError):
    """The request does not fit the protocol or the model."""


class ModelNotFound(ServiceError):
    """No model or version of that name."""


class ModelNotReady(ServiceError):
    """The model is known but does not answer (yet)."""


class Draining(ServiceError):
    """The server is stopping and takes nothing new."""


class Overloaded(ServiceError):
    """More rows would wait than the queue may hold.

    Args:
        message: What came and what was wanted.
        retry_after_seconds: When what waits now will have been run, by the speed of late.
    """

    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class AnswerTooLarge(ServiceError):
    """The answer is longer than a message may be."""


class DeadlineExceeded(ServiceError):
    """The caller's deadline passed before its rows were computed."""


class InferenceFailed(ServiceError):
    """The run that held these rows failed."""


class Unsupported(ServiceError):
    """A method that the protocol has and this server does not."""


class ModelRefused(Exception):
    """A version that must not be served; the message says why, on one line of at most 1,000 characters.

    Args:
        kind: One word out of few, for a metric's label: "missing", "size", "manifest", "checksum", "graph" or "run".
        message: What was found and what was wanted.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(" ".join(excerpt(message, _LONGEST_REASON).split()))
        self.kind = kind


class StartupError(Exception):
    """The server cannot start; its message is for the person who started it."""


class StorageError(StartupError):
    """The storage of the model repository, or the folder that keeps what was read from it, cannot be used now.

    Args:
        message: What was tried, and what was said to it.
        may_pass: Whether another try may help; False where something must be put right first.
    """

    def __init__(self, message: str, *, may_pass: bool = True) -> None:
        super().__init__(message)
        self.may_pass = may_pass


def excerpt(text: str, most_characters: int) -> str:
    """The text, or its beginning and its end where it is longer: what was wanted stands at the end of our messages."""
    if len(text) <= most_characters:
        return text
    half = (most_characters - 3) // 2
    return f"{text[:half]} … {text[-half:]}"
