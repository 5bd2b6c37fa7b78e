"""What the parent process and a worker tell each other: JSON objects, one a line, over a socket pair.

From a worker: {"pid": of the process that serves, "folder": of its Envoy, or ""}; {"beat": why it is not ready, or ""},
twice a second; {"loading" | "left": [model, version]}; {"armed": [model, version, flag]}; {"loaded": [model, version,
digest, report]}; {"refused": [model, version, or 0 for all that it has not loaded, reason]}; {"withdrawn": [model, its
latest version, the earlier one that it would go back to, report], or [model, version, 0, 0] if it would not any more};
{"loaded all": true}; {"listening": the versions that answer}; {"failed": why it cannot start}; {"settings": the number
of those that it has}; {"did": [number of an order, error or null, value]}; {"ask": [number, "load" or "unload",
model]}; {"valid": [kind of files, their bytes]}.
To it: {"arm" | "arm back": [model, version, flag, report]}, {"disarm" | "serve": [model, version, report]}, {"refuse":
[model, version, reason, report]}, {"new try": [model, version]} when a worker that refused it has loaded it or ended,
{"end back": [model, whether it is back, report]}, {"listen": how many "left" have come}, {"do": [number, order, …]}.
`report` is the number of the worker's report that is answered. Orders are "prepare" [number of settings, settings],
"drop" [], "arm" [flag, version by model], "adopt" [number of settings, settings, version by model], "load" [model] and
"unload" [model]; {"answer": [number that was asked, error or null]}; {"crash loop": whether a worker ends soon
after its start, again and again}.
Stops are signals. A worker whose parent hangs up ends at once.
"""

import json
import logging
import os
import socket
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from service.errors import Draining, ModelNotFound, ModelNotReady, SettingsError, StartupError, WorkerBroke
from service.frontends.envoy.control import BlockingControl
from service.settings import Settings

_log = logging.getLogger(__name__)

# Errors of orders that keep their kind on the way.
_ERRORS: tuple[type[Exception], ...] = (ModelNotFound, ModelNotReady, Draining, StartupError, WorkerBroke)

_VARIABLE = "KAN_SERVE_WORKER"


@dataclass(frozen=True)
class Given:
    """What a worker starts with: all that is in force.

    Attributes:
        settings: As JSON.
        unloaded: The models that callers have unloaded.
        files: The last valid bytes of tokens and certificates, by kind, in base64.
    """

    settings: str = field(repr=False)
    unloaded: Sequence[str] = ()
    files: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)

    def read_settings(self) -> Settings:
        """The settings."""
        return read_settings(self.settings)

    def last_valid(self, kind: str) -> Sequence[bytes] | None:
        """The last valid bytes of the files of a kind; None if none were."""
        found = self.files.get(kind)
        return None if found is None else [b64decode(each) for each in found]


@dataclass(frozen=True)
class Start:
    """What a worker finds in its environment.

    Attributes:
        control: File descriptor of its end of the socket pair.
        flags: File descriptor of the flags.
        levels: File descriptor of the levels of quotas.
        given: File descriptor of a file in memory. It is as long as it has to be, and no other process sees it.
        folder: Gets its metrics. The folder above it is the parent's.
        number: Of the worker, from 0.
    """

    control: int
    flags: int
    levels: int
    given: int
    folder: str
    number: int

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The file descriptors that the worker inherits."""
        return (self.control, self.flags, self.levels, self.given)

    def environment(self) -> dict[str, str]:
        """The environment variable that holds it."""
        return {_VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def found(cls) -> "Start":
        """The one of this process."""
        return cls(**json.loads(os.environ[_VARIABLE]))

    def read_given(self) -> Given:
        """What this worker starts with."""
        content = os.pread(self.given, os.fstat(self.given).st_size, 0)
        return Given(**json.loads(content))


@contextmanager
def in_memory(given: Given) -> Iterator[int]:
    """A file in memory with what a worker starts with, for a with block. Gives its descriptor."""
    with os.fdopen(os.memfd_create("kan-serve-given"), "wb") as file:
        file.write(json.dumps(asdict(given)).encode())
        file.flush()
        yield file.fileno()


def read_settings(text: str) -> Settings:
    """Settings that were sent as JSON."""
    return Settings(**json.loads(text))


def encode_error(error: Exception) -> list[Any]:
    """What became of an order that failed, as JSON has it. An error that nobody expected is logged, in one process."""
    if isinstance(error, SettingsError):
        return [SettingsError.__name__, list(error.mistakes)]
    for kind in _ERRORS:
        if isinstance(error, kind):
            return [kind.__name__, str(error)]
    _log.error("an order to all workers broke", exc_info=error)
    return [WorkerBroke.__name__, f"another worker broke: {error!r:.500}"]


def decode_error(given: list[Any]) -> Exception:
    """The error that :func:`encode_error` was given, or a WorkerBroke in its place."""
    name, text = given
    if name == SettingsError.__name__:
        return SettingsError(text)
    return next((kind for kind in _ERRORS if kind.__name__ == name), WorkerBroke)(text)


class WorkerControl(BlockingControl):
    """The worker's end. Orders are read in a thread."""

    def beat(self, reason: str) -> None:
        """Show that the event loop turns. A parent that is stopped reads nothing; then this one is left out."""
        with suppress(OSError):
            self._socket.send(json.dumps({"beat": reason}).encode() + b"\n", socket.MSG_DONTWAIT)
