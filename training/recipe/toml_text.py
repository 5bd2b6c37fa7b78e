"""A recipe as TOML, from its sections as Python's own types: what `tomllib` reads, written."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from training.errors import RecipeError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """The sections in their order; tables and lists of tables in a section follow its other keys.

    Raises:
        RecipeError: a value has no form in a recipe.
    """
    return "\n".join(line for name, section in sections.items() for line in _table_lines(name, section)).lstrip()


def toml_string(text: str) -> str:
    """A TOML basic string: JSON's escapes, and one for DEL, which TOML forbids and JSON allows."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(key: object) -> str:
    """A key: bare where TOML allows it, else in quotes."""
    text = str(key)
    return text if _BARE_KEY.fullmatch(text) else toml_string(text)


def _table_lines(name: str, table: Mapping[str, Any], brackets: str = "[]") -> Iterator[str]:
    half = len(brackets) // 2
    yield ""
    yield f"{brackets[:half]}{name}{brackets[half:]}"
    for key, value in table.items():
        if not _holds_tables(value):
            yield f"{toml_key(key)} = {_value(value, f'[{name}] {key}')}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _table_lines(f"{name}.{toml_key(key)}", value)
        elif _holds_tables(value):
            for each in value:
                yield from _table_lines(f"{name}.{toml_key(key)}", each, "[[]]")


def _holds_tables(value: Any) -> bool:
    is_list = isinstance(value, list | tuple) and len(value) > 0
    return isinstance(value, Mapping) or (is_list and all(isinstance(each, Mapping) for each in value))


def _value(value: Any, where: str) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple | np.ndarray):
        return f"[{', '.join(_value(each, where) for each in value)}]"
    raise RecipeError(f"{where} is {value!r}; wanted a number, a text, true or false, or a list of such")
