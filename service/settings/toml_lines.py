"""Where keys stand in a TOML text, which Python's parser does not tell."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

_HEADER = re.compile(r"^\s*\[[^\[\]].*\]\s*(#.*)?$")
_KEY = re.compile(r"""^\s*("[^"]*"|'[^']*'|[A-Za-z0-9_-]+)\s*=""")


def lines_of(text: str) -> Mapping[tuple[str, ...], int]:
    """The lines of tables and keys, from 1, each by its names: ("server", "grpc_port").

    What is written in a way that this function does not know, such as a dotted key, is absent.

    Args:
        text: A valid TOML document.
    """
    found: dict[tuple[str, ...], int] = {}
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if _HEADER.match(line):
            header = _path_of(line)
            found.setdefault(header, number)
        elif match := _KEY.match(line):
            found.setdefault((*header, match[1].strip("\"'")), number)
    return found


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
