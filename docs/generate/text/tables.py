"""Pieces of Markdown, and the limits of a setting in words."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; cells hold no newline, and their bars are escaped."""
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def code(text: str) -> str:
    """Inline code; nothing where there is no text."""
    return f"`{text}`" if text else ""


def code_block(language: str, text: str) -> str:
    """Fenced code."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def wanted(schema: Mapping[str, Any]) -> str:
    """What a value may be, in words.

    Args:
        schema: The JSON schema of one field, without references.
    """
    if "anyOf" in schema:
        return " or ".join(wanted(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return ", ".join(code(str(value)) for value in schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        if "prefixItems" in schema:  # a tuple
            return f"[{', '.join(map(wanted, schema['prefixItems']))}]"
        return f"list of: {wanted(schema['items'])}"
    if schema["type"] == "object":
        return f"table of: {wanted(schema['additionalProperties'])}"
    kind = "path" if schema.get("format") == "path" else _TYPES[schema["type"]]
    bounds = [f"{sign} {schema[key]:,}" for key, sign in _BOUNDS.items() if key in schema]
    return " ".join([kind, ", ".join(bounds)]).strip()


def default(value: Any) -> str:
    """A default as one would write it; a dash where there is none."""
    if value in (None, "", {}):
        return "–"
    return code(json.dumps(value) if isinstance(value, bool | list | tuple | float) else str(value))
