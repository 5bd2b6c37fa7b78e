"""Envoy's own lines of the access log: of the calls that never came to Python."""

import json
import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from service.access.access_log import AccessLog
from service.frontends.envoy.configuration import STATUS_FIELD
from service.rpc.status import Code

_log = logging.getLogger(__name__)

_END: Final = b"\n"  # Envoy writes no empty line
_LEAST_CLOSE_SECONDS: Final = 0.1


class AccessLines:
    """Takes Envoy's lines from a pipe and writes them to the access log, where Python writes its own.

    Envoy by itself cuts its lines at the ends of its buffers, so that they would mix with Python's, and goes on with a
    file that was renamed. The pipe holds what it writes while it ends.

    Args:
        file: As for :class:`service.access.access_log.AccessLog`.
        pipe: Is made; Envoy writes to it.

    Raises:
        StartupError: The file cannot be written.
    """

    def __init__(self, file: str, pipe: Path) -> None:
        self._access_log = AccessLog(file)
        os.mkfifo(pipe, 0o600)
        self._pipe = os.open(pipe, os.O_RDWR)  # a reader alone would end where Envoy does not write yet
        self._thread = threading.Thread(target=self._read_all, name="Envoy's access log", daemon=True)
        self._thread.start()

    def close(self, seconds: float = 0.0) -> None:
        """Write what Envoy has left in the pipe, once it has ended, and end.

        Args:
            seconds: Time for that; 0.1 s at least.
        """
        os.write(self._pipe, 2 * _END)  # one may end half a line of an Envoy that was killed
        self._thread.join(max(seconds, _LEAST_CLOSE_SECONDS))
        self._access_log.close()

    def _read_all(self) -> None:
        with open(self._pipe, "rb") as lines:
            for line in lines:
                if line == _END:
                    return
                try:
                    self._access_log.write(_with_code(json.loads(line)))
                except ValueError:
                    _log.error("Envoy wrote a line of the access log that is no JSON: %.200r", line)


def _with_code(fields: dict[str, Any]) -> dict[str, Any]:
    """A line with the code that the caller got.

    Envoy tells no code of a request that it refuses before it converts its JSON; the status in the answer has it.
    """
    status = fields.pop(STATUS_FIELD, None)
    if status is not None and fields.get("code") is None:
        with suppress(ValueError):  # it is none that gRPC knows
            fields["code"] = Code(int(status)).name
    return fields
