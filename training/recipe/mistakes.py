"""Turn pydantic's validation errors into plain messages about the recipe."""

import difflib
import json
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from training.errors import quoted
from training.recipe.fit_sections import CandidateSection
from training.recipe.image_sections import ConvolutionSection

_WANTED = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": 'text, e.g. "word"',
    "path_type": 'text, e.g. "DATA.csv"',
    "tuple_type": "a list, e.g. [1, 2]",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
    "string_pattern_mismatch": "a name of letters, digits, _, - and . (not - or . first), at most 100 of them",
}
_BOUND = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
# Shares that people write as percentages. A column may have the name of such a key, so the section counts too.
_EXAMPLES: dict[tuple[int | str, ...], str] = {
    ("intervals", "coverage"): "0.9",
    ("calibration", "coverage"): "0.9",
    ("task", "quantile"): "0.9",
    ("split", "validation"): "0.15",
    ("split", "test"): "0.2",
}
# Keys that are lists of tables, and the model of one.
_LISTS: dict[tuple[int | str, ...], type[BaseModel]] = {
    ("search", "candidates"): CandidateSection,
    ("network", "convolutions"): ConvolutionSection,
}


def explain(error: ValidationError, document: type[BaseModel]) -> list[str]:
    """One line for each mistake, with its section and key.

    Args:
        error: The error that the validation of the document raised.
        document: The model of the whole recipe; its fields are the sections.
    """
    return [_line(details, _sections(document)) for details in error.errors() if not _is_echo(details)]


def _is_echo(details: ErrorDetails) -> bool:
    """Whether a list is only too short because pydantic does not count entries with a mistake of their own."""
    return details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]


def _sections(document: type[BaseModel]) -> dict[str, list[str]]:
    """The known keys of each section."""
    sections = {}
    for name, field in document.model_fields.items():
        # The type of an optional section is its model or None.
        (model,) = (each for each in get_args(field.annotation) or (field.annotation,) if each is not NoneType)
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        sections[name] = list(model.model_fields)
    return sections


def _line(details: ErrorDetails, sections: dict[str, list[str]]) -> str:
    location, kind, came = details["loc"], details["type"], details["input"]
    place = _place(location)
    if kind == "extra_forbidden" and location[:2] in _LISTS:
        name, place = str(location[3]), _place(location[:3])
        return f"{place}: unknown key {quoted(name)}{_nearest(name, list(_LISTS[location[:2]].model_fields), 'keys')}"
    if kind == "extra_forbidden":
        return _unknown(location, sections)
    if kind == "missing":
        return f"{place} is missing"
    if kind == "value_error":
        text = str(details["ctx"]["error"])
        return f"{place}: {text}" if place else text
    return f"{place} = {_toml(came)}: wanted {_wanted_table(details) or _wanted(details)}{_example(location)}"


def _example(location: tuple[int | str, ...]) -> str:
    example = _EXAMPLES.get(location)
    return "" if example is None else f", for example {example}"


def _wanted_table(details: ErrorDetails) -> str:
    """What is wanted where a section, a candidate or a convolution is not written as a table; "" elsewhere."""
    location, came = details["loc"], details["input"]
    if len(location) == 1:
        single = "once, in single brackets" if isinstance(came, list) else "on a line of its own"
        return f"a table: [{location[0]}] {single}, and its keys below"
    if location[:2] not in _LISTS or len(location) > 3 or details["type"] == "too_long":
        return ""
    name = ".".join(map(str, location[:2]))
    if len(location) == 2 and came == []:
        return f"at least 1 entry: [[{name}]] on a line of its own, and its keys below"
    return f"a table for each {str(location[1])[:-1]}: [[{name}]] in double brackets, and its keys below"


def _place(location: tuple[int | str, ...]) -> str:
    """The place of a mistake, such as "[section] key, entry 2"."""
    if not location:
        return ""
    section, *keys = location
    if not keys:
        return f"[{section}]"
    if location[:2] in _LISTS and len(keys) > 2 and isinstance(keys[1], int):
        return f"[{section}] {keys[0]}, entry {keys[1] + 1}: {keys[2]}"
    if section == "data" and keys[0] in ("categories", "dates") and len(keys) > 1:
        place = f"[data.{keys[0]}] {quoted(str(keys[1]))}"
        keys = keys[2:]
    else:
        place = f"[{section}] {keys[0]}"
        keys = keys[1:]
    return "".join([place, *(f", entry {key + 1}" for key in keys if isinstance(key, int))])


def _unknown(location: tuple[int | str, ...], sections: dict[str, list[str]]) -> str:
    if len(location) == 1:
        name = str(location[0])
        homes = [section for section, keys in sections.items() if name in keys]
        if homes:
            return f"{name} is before the first section; it belongs in {_names(homes)}"
        return f"unknown section or key {quoted(name)}{_nearest(name, list(sections), 'sections')}"
    section, name = str(location[0]), str(location[1])
    line = f"[{section}] unknown key {quoted(name)}"
    near = difflib.get_close_matches(name, sections[section], n=1)
    homes = [other for other, keys in sections.items() if name in keys]
    if homes and not near:
        return f"{line}; it belongs in {_names(homes)}"
    return line + _nearest(name, sections[section], "keys")


def _names(sections: list[str]) -> str:
    return " or ".join(f"[{section}]" for section in sections)


def _nearest(name: str, known: list[str], what: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; the {what} are {', '.join(known)}"


def _wanted(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "literal_error":
        return str(context["expected"]).replace("'", '"')
    if kind in ("too_short", "too_long"):
        count = context["min_length"] if kind == "too_short" else context["max_length"]
        return f"at {'least' if kind == 'too_short' else 'most'} {count} {'entry' if count == 1 else 'entries'}"
    if kind in _BOUND:
        words, key = _BOUND[kind]
        return f"{words} {context[key]}"
    return _WANTED.get(kind, details["msg"])


def _toml(value: Any) -> str:
    """The value roughly as the recipe has it, cut to 60 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:59] + "…"
