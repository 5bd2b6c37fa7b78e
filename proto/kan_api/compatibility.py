"""Whether a newer version of a model can replace an older one. kan-train and kan-serve apply the same rule.

Callers keep the name of a model and send the same requests as before. So a newer version must have the same features in
the same order, the same task, the same classes in the same order and, if it has several targets, these in the same
order. A feature is its name, its column and its word.

Four things are not compared:

- `imputed`, because it depends on the training rows whether a missing cell can be answered.
- `unseen_is_other`, because whether a cell without a known word can be answered does not change the other cells.
- The words of a column, because the features have them in the same order.
- The number of outputs of a regression whose targets are not named. If another network is imported under the same
  name, training publishes versions that differ there, and a published version is served.
- The name of a single target.
"""

from collections.abc import Sequence

from kan_api.cells import quoted
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, Feature, ModelManifest


def difference(older: ModelManifest, newer: ModelManifest) -> str:
    """Why the newer version cannot replace the older one.

    Args:
        older: Manifest of the version that callers know. The sentence names its number.
        newer: Manifest of the version that would replace it. Its number is not used.

    Returns:
        "" if it can; otherwise a sentence of at most 2,000 characters, in which "it" is the newer version:
        ``it takes other inputs than version 1: 64 there and 2 here; input 3 is "width" there and nothing here``.
    """
    return difference_of_answers(older, newer) or _difference_of_inputs(older, newer)


def difference_of_answers(older: ModelManifest, newer: ModelManifest) -> str:
    """As :func:`difference`, of task, classes and targets alone: no choice of inputs mends it."""
    if older.task != newer.task:
        return f"it answers otherwise than version {older.version}: {_answers(older)} there and {_answers(newer)} here"
    if place := _first_difference(older.classes, newer.classes):
        was, now = (_quoted(each.classes, place) for each in (older, newer))
        return (
            f"it answers otherwise than version {older.version}: {_counts(older.classes, newer.classes)}"
            f"class {place} is {was} there and {now} here"
        )
    if place := _first_difference(older.targets, newer.targets):
        was, now = (_quoted(each.targets, place) for each in (older, newer))
        return (
            f"it answers otherwise than version {older.version}: {_counts(older.targets, newer.targets)}"
            f"target {place} is {was} there and {now} here"
        )
    return ""


def _difference_of_inputs(older: ModelManifest, newer: ModelManifest) -> str:
    if older.image_shape and list(older.image_shape) != list(newer.image_shape):
        was, now = (list(each.image_shape) or "flat rows" for each in (older, newer))
        return f"it takes other inputs than version {older.version}: images of {was} there and {now} here"
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
    """The first position, counted from 1, where the two differ; 0 if they are equal."""
    for place, (was, now) in enumerate(zip(older, newer, strict=False), 1):
        if was != now:
            return place
    return 0 if len(older) == len(newer) else min(len(older), len(newer)) + 1


def _identity(feature: Feature) -> tuple[str, str, str]:
    # All three are compared: a manifest written by hand may have no names, but kan-serve demands columns and words.
    return feature.name, feature.column, feature.category


def _answers(manifest: ModelManifest) -> str:
    return {TASK_REGRESSION: "numbers", TASK_CLASSIFICATION: "classes"}.get(manifest.task, "no task")


def _counts(older: Sequence[object], newer: Sequence[object]) -> str:
    return "" if len(older) == len(newer) else f"{len(older)} there and {len(newer)} here; "


def _origin(feature: Feature) -> str:
    """The column and the word of a feature, for two features with the same name."""
    column = f"column {quoted(feature.column)}"
    return f"word {quoted(feature.category)} of {column}" if feature.category else column


def _quoted(names: Sequence[str], place: int) -> str:
    return quoted(names[place - 1]) if place <= len(names) else "nothing"
