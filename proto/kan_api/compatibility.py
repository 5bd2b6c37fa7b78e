"""Whether one version of a model can stand in for another: the rule of kan-train, which publishes, and of kan-serve.

Callers keep a model's name and send what they sent before. So a newer version must take the same features in the same
order, and answer the same task with the same classes in the same order. A feature is its name, its column and its word.

Three things are not compared. `imputed`: whether a missing cell is answered depends on the rows that each training saw.
The words of a column: their order is that of the features. The number of a regression's outputs: training publishes
versions that differ there, where another network is imported under the name, and what it published is served.
"""

import json
from collections.abc import Sequence

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, Feature, ModelManifest

_SHOWN_CHARACTERS = 60


def difference(older: ModelManifest, newer: ModelManifest) -> str:
    """Why the newer version cannot stand in for the older one.

    Args:
        older: Of the version that callers know; its number is in the sentence.
        newer: Of the version that would take its place; its number is not looked at.

    Returns:
        "" where it can; else a sentence of at most 2,000 characters whose subject "it" is the newer version:
        ``it takes other inputs than version 1: 64 there and 2 here; input 3 is "width" there and nothing here``.
    """
    if older.task != newer.task:
        return f"it answers otherwise than version {older.version}: {_answers(older)} there and {_answers(newer)} here"
    if place := _first_difference(older.classes, newer.classes):
        was, now = (_quoted(each.classes, place) for each in (older, newer))
        return (
            f"it answers otherwise than version {older.version}: {_counts(older.classes, newer.classes)}"
            f"class {place} is {was} there and {now} here"
        )
    if place := _first_difference(list(map(_identity, older.features)), list(map(_identity, newer.features))):
        was, now = (_quoted([feature.name for feature in each.features], place) for each in (older, newer))
        if was == now:
            was, now = (_origin(each.features[place - 1]) for each in (older, newer))
        return (
            f"it takes other inputs than version {older.version}: {_counts(older.features, newer.features)}"
            f"input {place} is {was} there and {now} here"
        )
    return ""


def _first_difference(older: Sequence[object], newer: Sequence[object]) -> int:
    """The place, counted from 1, where the two begin to differ; 0 where they are equal."""
    for place, (was, now) in enumerate(zip(older, newer, strict=False), 1):
        if was != now:
            return place
    return 0 if len(older) == len(newer) else min(len(older), len(newer)) + 1


def _identity(feature: Feature) -> tuple[str, str, str]:
    # A manifest written by hand may leave the names out: columns and words are what kan-serve demands.
    return feature.name, feature.column, feature.category


def _answers(manifest: ModelManifest) -> str:
    return {TASK_REGRESSION: "numbers", TASK_CLASSIFICATION: "classes"}.get(manifest.task, "no task")


def _counts(older: Sequence[object], newer: Sequence[object]) -> str:
    return "" if len(older) == len(newer) else f"{len(older)} there and {len(newer)} here; "


def _origin(feature: Feature) -> str:
    """What a feature stands for, where its name does not tell."""
    column = f"column {_shown(feature.column)}"
    return f"word {_shown(feature.category)} of {column}" if feature.category else column


def _quoted(names: Sequence[str], place: int) -> str:
    return _shown(names[place - 1]) if place <= len(names) else "nothing"


def _shown(name: str) -> str:
    """In double quotes on one line, shortened when long."""
    short = name if len(name) <= _SHOWN_CHARACTERS else name[: _SHOWN_CHARACTERS - 1] + "…"
    return json.dumps(short, ensure_ascii=False)
