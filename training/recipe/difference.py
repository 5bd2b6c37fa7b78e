"""The first key in which two recipes differ."""

import json
from collections.abc import Mapping
from typing import Any

_LONGEST = 60


def first_difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The first key that differs, with both values: "[fit] steps was 20, is 30". "" if there is none.

    Args:
        before: Sections of a recipe as JSON has them: objects, lists, texts, numbers, true, false and null.
        after: Likewise of the other recipe. A key that is null counts as left out.
    """
    return _difference("", before, after)


def _difference(place: str, before: Any, after: Any) -> str:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            inside = f"{place}: {key}" if ", entry " in place else f"{place} {key}" if place else f"[{key}]"
            if found := _difference(inside, before.get(key), after.get(key)):
                return found
        return ""
    if _is_list_of_objects(before) and _is_list_of_objects(after):
        for number in range(max(len(before), len(after))):
            pair = (entries[number] if number < len(entries) else None for entries in (before, after))
            if found := _difference(f"{place}, entry {number + 1}", *pair):
                return found
        return ""
    return "" if before == after else f"{place} {_told('was', before)}, {_told('is', after)}"


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _told(verb: str, value: Any) -> str:
    if value is None:
        return f"{verb} left out"
    text = json.dumps(value, ensure_ascii=False)
    return f"{verb} {text if len(text) <= _LONGEST else text[: _LONGEST - 1] + '…'}"
