"""Log lines on standard error, for people or for machines."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal


def set_up(form: Literal["text", "json"]) -> None:
    """Send every log line from INFO up to standard error.

    Args:
        form: "text" for people; "json" for one JSON object a line with time, level, logger, message and, for an
            error, the traceback.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
