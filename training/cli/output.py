"""What a command tells on standard output: lines for people, JSON for programs, or nothing."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Style = Literal["text", "json", "quiet"]


class Output:
    """Tells the events of a command.

    Args:
        style: "text": lines; "json": one object a line; "quiet": nothing but errors.
    """

    def __init__(self, style: Style) -> None:
        self.style = style

    def tell(self, text: str, event: str, **fields: Any) -> None:
        """Tell one event.

        Args:
            text: The lines for people.
            event: The name of the event in JSON.
            fields: The further members of the JSON object. Numbers that are not finite become null.
        """
        if self.style == "text":
            print(text)
        elif self.style == "json":
            self.tell_object(event, **fields)

    def tell_object(self, event: str, **fields: Any) -> None:
        """Write one line of JSON at once, so that a reader of a pipe sees it."""
        line = json.dumps(_finite({"event": event, **fields}), ensure_ascii=False, allow_nan=False)
        # ASCII where standard output cannot write the letter, as under the locale C.
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        if line.encode(encoding, "replace").decode(encoding) != line:
            line = json.dumps(json.loads(line))
        print(line, flush=True)

    def tell_aside(self, text: str) -> None:
        """Tell people, on standard error, what goes on meanwhile; programs are told nothing of it."""
        if self.style == "text":
            print(text, file=sys.stderr)

    def fail(self, message: str, code: int) -> int:
        """Tell an error on standard error, with --json also as the last object; give the exit code."""
        print(f"kan-train: {message}", file=sys.stderr)
        if self.style == "json":
            self.tell_object("error", message=message, exit_code=code)
        return code


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(each) for each in value]
    return value
