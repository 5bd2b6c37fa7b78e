"""Errors of serving, independent of gRPC. service/rpc/status.py maps them to status codes."""

import json
import shlex
import sys
from collections.abc import Sequence

# A reason goes into log lines, listings and messages. It may quote long foreign text: onnxruntime's messages can hold a
# whole graph.
_LONGEST_REASON = 1000


class ServiceError(Exception):
    """Root of every error that is sent to a caller. The message says what came and what was wanted."""


class InvalidRequest(ServiceError):
    """The request does not fit the protocol or the model."""


class ModelNotFound(ServiceError):
    """There is no model of that name, or no version of that number."""


class ModelNotReady(ServiceError):
    """The model is known but does not answer: it is loading, or it was refused."""


class RepositoryUnreadable(ServiceError):
    """The model repository cannot be read now. The message may name other models, and where the repository is."""


class Draining(ServiceError):
    """The server is stopping and takes no new requests."""


class Overloaded(ServiceError):
    """The request would exceed a bound, for example the rows that may wait in a queue.

    Args:
        message: What came and what was wanted.
        retry_after_seconds: Time until the rows that wait now are computed, estimated from recent runs.
    """

    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Unauthenticated(ServiceError):
    """The call has no valid token, and the server answers only calls with one."""


class Forbidden(ServiceError):
    """The caller's token may not call this method, or may not use this model."""


class QuotaExceeded(ServiceError):
    """The rows are more than the quota of the caller, or of the model, has left for now. The server itself has room.

    Args:
        message: What came and what was wanted.
        retry_after_seconds: Time until the request can be accepted, if no other comes first.
    """

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotPublished(ServiceError):
    """The version lacks a part that the request needs, or that part cannot be used. Another version may have it."""


class AnswerTooLarge(ServiceError):
    """The answer is larger than the largest allowed message."""


class DeadlineExceeded(ServiceError):
    """The deadline of a call passed before its rows were computed."""


class InferenceFailed(ServiceError):
    """The run of the model that contained these rows failed."""


class Unsupported(ServiceError):
    """The protocol has this method, but this server does not implement it."""


class ModelRefused(Exception):
    """A version must not be served. The message says why, on one line of at most 1,000 characters.

    Args:
        kind: The label of a metric: "missing", "size", "manifest", "checksum", "graph" or "run".
        message: What was found and what was wanted.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(" ".join(excerpt(message, _LONGEST_REASON).split()))
        self.kind = kind


class StartupError(Exception):
    """The server cannot start. The message is for the person who started it."""


class MissingExtra(StartupError):
    """An optional part was asked for and is not installed.

    Args:
        message: What needs the extra.
        extra: Its name in pyproject.toml. The command that installs it follows the message.
    """

    def __init__(self, message: str, extra: str) -> None:
        super().__init__(f"{message}: {install_command(extra)}")


class WrongArguments(StartupError):
    """What the arguments of a command ask for cannot be. The message says what came and what was wanted."""


class SettingsError(Exception):
    """Settings do not fit, or cannot be read.

    Args:
        mistakes: One line for each: where it is, what came, what was wanted.
    """

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


class WorkerBroke(Exception):
    """An order to all workers met an error that nobody expects. The log has it."""


class StorageError(StartupError):
    """The storage of the model repository, or the folder that caches it, cannot be used now.

    Args:
        message: What was tried, and how it failed.
        may_pass: Whether another try may succeed. False if a person must repair something first.
    """

    def __init__(self, message: str, *, may_pass: bool = True) -> None:
        super().__init__(message)
        self.may_pass = may_pass


def install_command(extra: str) -> str:
    """The command that installs an extra: in a clone the clone's, as no index has the package then.

    Source: PEP 610, direct_url.json.
    """
    from importlib import metadata  # slow, and only a server that does not start needs it
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        origin = json.loads(metadata.distribution("kan-serving").read_text("direct_url.json") or "{}")
    except metadata.PackageNotFoundError:
        origin = {}
    if origin.get("dir_info", {}).get("editable"):
        clone = url2pathname(urlsplit(origin["url"]).path)
        return shlex.join([sys.executable, "-m", "pip", "install", "--editable", f"{clone}[{extra}]"])
    return f"pip install 'kan-serving[{extra}]'"


def excerpt(text: str, most_characters: int) -> str:
    """The text; if it is too long, its beginning and its end, where our messages say what was wanted."""
    if len(text) <= most_characters:
        return text
    half = (most_characters - 3) // 2
    return f"{text[:half]} … {text[-half:]}"
