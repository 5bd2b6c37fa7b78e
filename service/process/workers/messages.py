"""What the parent process and a worker tell each other: JSON objects, one a line, over a socket pair.

From a worker: {"pid": of the process that serves}; {"beat": why it is not ready, or ""}, twice a second; {"loading" |
"left" | "armed": [model, version]}; {"loaded": [model, version, digest]}; {"refused": [model, version, reason]};
{"loaded all": true}; {"listening": the versions that answer}; {"failed": why it cannot start}.
To it: {"arm": [model, version, flag]}, {"serve": [model, version]}, {"refuse": [model, version, reason]}, {"listen":
true}. Stops are signals. A worker whose parent hangs up ends at once.
"""

import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass

from service.frontends.envoy.control import BlockingControl
from service.settings import Settings

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
        number: Of the worker, from 0.
        settings: As JSON.
    """

    control: int
    flags: int
    folder: str
    number: int
    settings: str

    @classmethod
    def of(cls, control: int, flags: int, folder: str, number: int, settings: Settings) -> "Start":
        """For a worker with these settings."""
        return cls(control, flags, folder, number, settings.model_dump_json(exclude_none=True))

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
        return Settings(**json.loads(self.settings))


class WorkerControl(BlockingControl):
    """The worker's end. Orders are read in a thread."""

    def beat(self, reason: str) -> None:
        """Show that the event loop turns. A parent that is stopped reads nothing; then this one is left out."""
        with suppress(OSError):
            self._socket.send(json.dumps({"beat": reason}).encode() + b"\n", socket.MSG_DONTWAIT)
