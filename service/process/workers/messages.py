"""What the parent process and a worker tell each other: JSON objects, one a line, over a socket pair.

From a worker: {"pid": of the process that serves}; {"beat": why it is not ready, or ""}, twice a second; {"loading" |
"left" | "armed": [model, version]}; {"loaded": [model, version, digest]}; {"refused": [model, version, reason]};
{"loaded all": true}; {"listening": the versions that answer}; {"failed": why it cannot start}; {"settings": the number
of those that it has}; {"did": [number of an order, error or null, value]}.
To it: {"arm": [model, version, flag]}, {"serve": [model, version]}, {"refuse": [model, version, reason]}, {"listen":
true}, {"do": [number, order, …]}. Orders are "prepare" [number of settings, settings], "drop" [], "arm" [flag, version
by model] and "adopt" [number of settings, settings, version by model]. Stops are signals. A worker whose parent hangs
up ends at once.
"""

import json
import logging
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from service.errors import Draining, ModelNotFound, ModelNotReady, SettingsError, StartupError
from service.frontends.envoy.control import BlockingControl
from service.settings import Settings

_log = logging.getLogger(__name__)

# Errors of orders that keep their kind on the way.
_ERRORS: tuple[type[Exception], ...] = (ModelNotFound, ModelNotReady, Draining, StartupError)

_VARIABLE = "KAN_SERVE_WORKER"
# Apart from the rest: within JSON it would be longer, and a variable may have 128 KiB.
_SETTINGS_VARIABLE = "KAN_SERVE_WORKER_SETTINGS"


@dataclass(frozen=True)
class Start:
    """What a worker finds in its environment.

    Attributes:
        control: File descriptor of its end of the socket pair.
        flags: File descriptor of the flags.
        folder: Gets its metrics. The folder above it is the parent's.
        settings: As JSON.
    """

    control: int
    flags: int
    folder: str
    settings: str

    @classmethod
    def of(cls, control: int, flags: int, folder: str, settings: Settings) -> "Start":
        """For a worker with these settings."""
        return cls(control, flags, folder, settings.model_dump_json(exclude_none=True))

    def environment(self) -> dict[str, str]:
        """The environment variables that hold it."""
        given = asdict(self)
        return {_SETTINGS_VARIABLE: given.pop("settings"), _VARIABLE: json.dumps(given)}

    @classmethod
    def found(cls) -> "Start":
        """The one of this process."""
        return cls(**json.loads(os.environ[_VARIABLE]), settings=os.environ[_SETTINGS_VARIABLE])

    def read_settings(self) -> Settings:
        """The settings."""
        return read_settings(self.settings)


def read_settings(text: str) -> Settings:
    """Settings that were sent as JSON."""
    return Settings(**json.loads(text))


def encode_error(error: Exception) -> list[Any]:
    """What became of an order that failed, as JSON has it. An error that nobody expected is logged here."""
    if isinstance(error, SettingsError):
        return [SettingsError.__name__, list(error.mistakes)]
    for kind in _ERRORS:
        if isinstance(error, kind):
            return [kind.__name__, str(error)]
    _log.error("an order to this worker broke", exc_info=error)
    return ["", f"another worker broke: {error!r:.500}"]


def decode_error(given: list[Any]) -> Exception:
    """The error that :func:`encode_error` was given, or a RuntimeError."""
    name, text = given
    if name == SettingsError.__name__:
        return SettingsError(text)
    return next((kind for kind in _ERRORS if kind.__name__ == name), RuntimeError)(text)


class WorkerControl(BlockingControl):
    """The worker's end. Orders are read in a thread."""

    def beat(self, reason: str) -> None:
        """Show that the event loop turns. A parent that is stopped reads nothing; then this one is left out."""
        with suppress(OSError):
            self._socket.send(json.dumps({"beat": reason}).encode() + b"\n", socket.MSG_DONTWAIT)
