"""Where a key stands in a TOML text, which Python's parser does not tell."""

import re
import tomllib
from typing import Any

_HEADER = re.compile(r"^\s*\[[^\[\]].*\]\s*(#.*)?$")
_KEY = re.compile(r"""^\s*("[^"]*"|'[^']*'|[A-Za-z0-9_-]+)\s*=""")


def line_of(text: str, *path: str) -> int | None:
    """The line of a key or of a table, from 1.

    Args:
        text: A valid TOML document.
        path: The tables of the key, and the key: "server", "grpc_port".

    Returns:
        None where it is written in a way that this function does not know, such as a dotted key.
    """
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if _HEADER.match(line):
            header = _path_of(line)
            if header == path:
                return number
        elif (match := _KEY.match(line)) and header == path[:-1] and match[1].strip("\"'") == path[-1]:
            return number
    return None


def _path_of(header: str) -> tuple[str, ...]:
    """The names in a header; empty if the line is none, but a part of a long text."""
    try:
        table: Any = tomllib.loads(header)
    except ValueError:
        return ()
    names: list[str] = []
    while isinstance(table, dict) and table:
        ((name, table),) = table.items()
        names.append(name)
    return tuple(names)
