"""Log lines on standard error, for people or for machines. A message that repeats is limited (repeats.py).

All workers read the same settings. What each of them finds wrong there is logged with `extra={"once": True}`, and the
first worker alone writes it.
"""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from service.errors import excerpt
from service.process.output.repeats import Repeats

# In characters. Log collectors cut or drop longer lines, Docker above 16 KiB. Our tracebacks have about 3,000.
_LONGEST_MESSAGE = 4000
_LONGEST_TRACEBACK = 12_000


def set_up(form: Literal["text", "json"], worker: int | None = None) -> None:
    """Write every log line of level INFO or higher to standard error.

    Args:
        form: "text" for people; "json" for one JSON object a line with time, level, logger, message, for an error the
            traceback, and for a line about a call the fields of `RequestContext.log_fields`.
        worker: The number of this process among several workers, for its lines; None for any other process.
    """
    handler = logging.StreamHandler(sys.stderr)
    who = "" if worker is None else f"worker {worker} (pid {os.getpid()}): "
    text = f"%(asctime)s %(levelname)s {who}%(message)s"
    handler.setFormatter(_Json(worker) if form == "json" else _Text(text))
    if worker:
        handler.addFilter(_is_of_this_worker)
    handler.addFilter(Repeats(handler.handle))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def finish() -> None:
    """Say how many repeated lines were left out, at the end of the process."""
    for handler in logging.getLogger().handlers:
        for each in handler.filters:
            if isinstance(each, Repeats):
                each.finish()


def _is_of_this_worker(record: logging.LogRecord) -> bool:
    return not getattr(record, "once", False)


class _Text(logging.Formatter):
    """A line for people, and the lines of a traceback. The length of both is bounded."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # its name in logging
        return excerpt(super().formatMessage(record), _LONGEST_MESSAGE)

    def formatException(self, error: Any) -> str:  # noqa: N802
        return excerpt(super().formatException(error), _LONGEST_TRACEBACK)


class _Json(_Text):
    """One JSON object a line, of a worker with its number and process."""

    def __init__(self, worker: int | None) -> None:
        super().__init__()
        self._who = {} if worker is None else {"worker": worker, "pid": os.getpid()}

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            **self._who,
            "message": excerpt(record.getMessage(), _LONGEST_MESSAGE),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        line.update(getattr(record, "call", {}))
        return json.dumps(line, ensure_ascii=False)
