"""The keys of a recipe that give a model the inputs of its published version, for a recipe and for an estimator."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kan_api.cells import quoted
from kan_api.v1.manifest_pb2 import Column, ModelManifest
from training.errors import quoted_list

_MOST_COLUMNS = 3
_MOST_CHARACTERS = 600


def restoring_keys(before: ModelManifest, now: ModelManifest) -> str:
    """The keys of [data] in which the recipe of a version whose inputs differ has to follow the published one.

    Args:
        before: The manifest of the published version.
        now: The manifest of the version that has other inputs.

    Returns:
        ``[data.categories] "town" = ["Bonn", "Ulm"]``, for example; "" if their columns are the same.
    """
    keys, sections = [], []
    if [column.name for column in before.columns] != [column.name for column in now.columns]:
        keys.append(f"[data] columns = {_toml([column.name for column in before.columns])}")
        sections.append("[data] columns")
    encoded = {column.name: column for column in now.columns}
    differing = [
        column for column in before.columns if _encoding(column) != _encoding(encoded.get(column.name, column))
    ]
    keys += [key for column in differing[:_MOST_COLUMNS] for key in _keys(column)]
    if len(differing) > _MOST_COLUMNS:
        keys.append(f"and so for {len(differing) - _MOST_COLUMNS} more columns")
    text = ", ".join(keys)
    if len(text) > _MOST_CHARACTERS:
        sections += sorted({_section(column) for column in differing})
        return f"{', '.join(sections)} as in the recipe in manifest.json of version {before.version}"
    return text


def restoring_arguments(before: ModelManifest, now: ModelManifest) -> str:
    """What an estimator has to be fitted with in place of such keys: columns of X, and the argument `recipe`.

    Args:
        before: The manifest of the published version.
        now: The manifest of the version that has other inputs.

    Returns:
        ``recipe={"data": {"categories": {"town": ["Bonn", "Ulm"]}}}``, for example; "" if their columns are the same.
    """
    parts = []
    if (names := [column.name for column in before.columns]) != [column.name for column in now.columns]:
        parts.append(f"the columns {quoted_list(names)} of X")
    was, is_now = _data_keys(before), _data_keys(now)
    # Each key of an estimator's recipe replaces the drafted one as a whole.
    if keys := {key: value for key, value in was.items() if value != is_now[key]}:
        text = _toml({"data": keys})
        elsewhere = f"[data] {', '.join(keys)} as in the recipe in manifest.json of version {before.version}"
        parts.append(f"recipe={text}" if len(text) <= _MOST_CHARACTERS else elsewhere)
    return " and ".join(parts)


def _data_keys(manifest: ModelManifest) -> Mapping[str, Any]:
    """The keys of [data] that say what the columns are; a column in none of them is one of numbers."""
    columns = manifest.columns
    by_target = [column.name for column in columns if column.HasField("statistics")]
    return {
        "by_target": by_target,
        "dates": {column.name: column.date.format for column in columns if column.HasField("date")},
        "categories": {
            column.name: list(column.categories)
            for column in columns
            if column.categories and column.name not in by_target
        },
    }


def _encoding(column: Column) -> Sequence[object]:
    return column.HasField("statistics"), column.date.format, list(column.categories)


def _keys(column: Column) -> Iterator[str]:
    if column.HasField("statistics"):
        yield f"[data] by_target with {quoted(column.name)}"
    elif column.HasField("date"):
        yield f"[data.dates] {quoted(column.name)} = {quoted(column.date.format)}"
    elif column.categories:
        yield f"[data.categories] {quoted(column.name)} = {_toml(list(column.categories))}"
    else:
        yield f"{quoted(column.name)} as numbers, not in by_target, [data.categories] or [data.dates]"


def _section(column: Column) -> str:
    if column.HasField("statistics"):
        return "[data] by_target"
    return "[data.dates]" if column.HasField("date") else "[data.categories]"


def _toml(value: object) -> str:
    """Lists of words are written alike in TOML, JSON and Python, and so are mappings in the latter two."""
    return json.dumps(value, ensure_ascii=False)
