"""What is wrong with settings, in plain messages."""

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from service.settings.settings import flag, variable

_WANTED = {
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "string_type": 'text, e.g. "word"',
    "is_instance_of": 'text, e.g. "folder"',
    "path_type": 'text, e.g. "folder"',
    "finite_number": "a finite number",
    "string_too_short": "text that is not empty",
}
_BOUND = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def of_value(mistake: ErrorDetails, words: Iterable[ErrorDetails] = ()) -> str:
    """What came in the file and what was wanted: "0: wanted at least 1".

    Args:
        mistake: The mistake.
        words: Mistakes of the same value that tell which words it may be, where it may be words too.
    """
    came = json.dumps(mistake["input"], ensure_ascii=False, default=str)
    came = came if len(came) <= 60 else came[:59] + "…"
    if mistake["type"] == "value_error":
        return f"{came}: {mistake['ctx']['error']}"
    return f"{came}: wanted {', or '.join(map(_wanted_in_file, (mistake, *words)))}"


def of_flags(found: Iterable[ErrorDetails], place: str) -> list[str]:
    """A line for each flag or variable that is wrong, and for settings that do not fit together.

    Args:
        found: The mistakes. Of a value that may be of several kinds there is one for each kind.
        place: Of the settings file, for the latter.
    """
    lines: dict[str, str] = {}
    for mistake in found:
        reason = mistake["msg"].removeprefix("Value error, ")
        if not mistake["loc"]:
            lines[reason] = f"{place}{reason}"
            continue
        name = str(mistake["loc"][0])
        if name in lines:
            lines[name] += f", or {_wanted(mistake)}"
        else:
            told = reason if mistake["type"] == "value_error" else f"wanted {_wanted(mistake)}"
            lines[name] = f"{flag(name)} (or {variable(name)}) is {mistake['input']!r}: {told}"
    return list(lines.values())


def _wanted_in_file(mistake: ErrorDetails) -> str:
    wanted = _wanted(mistake)
    return wanted.replace("'", '"') if mistake["type"] == "literal_error" else wanted  # as TOML writes words


def _wanted(mistake: ErrorDetails) -> str:
    kind, context = mistake["type"], mistake.get("ctx", {})
    if kind == "literal_error":
        return str(context["expected"])
    if kind in _BOUND:
        words, key = _BOUND[kind]
        return f"{words} {context[key]}"
    return _WANTED.get(kind, mistake["msg"].removeprefix("Input should be "))


def of_name(name: str, known: Iterable[str]) -> str:
    """What is wrong with a name that is unknown."""
    keys = list(known)
    near = nearest(name, keys)
    shown: Any = f"did you mean {near}?" if near else f"the keys are {', '.join(keys)}"
    return f"unknown key {json.dumps(name, ensure_ascii=False):.80}; {shown}"


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that is nearest to another; "a or b" where several are equally near, "" where none is near."""
    near = difflib.get_close_matches(name, known, n=len(known))

    def ratio(each: str) -> float:
        return difflib.SequenceMatcher(None, each, name).ratio()  # in the order of get_close_matches

    return " or ".join(each for each in known if near and each in near and ratio(each) == ratio(near[0]))
