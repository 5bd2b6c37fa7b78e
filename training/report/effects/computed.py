"""The effects of a version's columns, the strongest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from kan_model import Effect, effect
from training.data.encoding import Numbers
from training.data.table import Cells
from training.publishing.export import Trained
from training.report.effects.shown_columns import ShownColumn

# Columns, rows and points of a curve. More of them would make a report slow, and its curves no smoother.
_MOST, _ROWS, _POINTS = 18, 100, 25
# More words are too small to read.
_MOST_WORDS = 10


@dataclass(frozen=True)
class DrawnEffect:
    """The effect of one column.

    Attributes:
        column: The column.
        effect: Its effect; of words with the number of training rows that hold each, as ``counts``: 0 if not known.
        words: The words that are its points; () for numbers.
        strength: How much the answer to a row moves with the column: the standard deviation over the training rows'
            values of the column, averaged over rows and outputs. Words without known counts weigh alike.
    """

    column: ShownColumn
    effect: Effect
    words: tuple[str, ...] = ()
    strength: float = 0.0


def compute_effects(
    trained: Trained, raw: Numbers, columns: Sequence[ShownColumn], spelled: Mapping[str, Cells] | None = None
) -> list[DrawnEffect]:
    """The effects of the first 18 columns, the strongest first; none of columns without any value or finite answer.

    Attribution chooses the columns, and their effects order them: the curves that are drawn show these.

    Args:
        trained: The network.
        raw: ``[rows, features]``, raw: 100 of them are what all other columns keep.
        columns: Most important first, by attribution.
        spelled: The words ``[rows]`` of columns whose features do not tell them.
    """
    known = [column for column in columns if column.words or np.isfinite(raw[:, column.places[0]]).any()]
    found = [compute_effect(trained, raw, column, (spelled or {}).get(column.name)) for column in known[:_MOST]]
    found = [replace(one, strength=_strength(one)) for one in found if np.isfinite(one.effect.mean).any()]
    return sorted(found, key=lambda one: -one.strength)


def compute_effect(trained: Trained, raw: Numbers, column: ShownColumn, cells: Cells | None) -> DrawnEffect:
    """The effect of one column, without its strength.

    Args:
        trained: The network.
        raw: ``[rows, features]``, raw: 100 of them are what all other columns keep.
        column: The column.
        cells: Its words ``[rows]``, if its features do not tell them.
    """
    rows = raw[np.unique(np.linspace(0, len(raw) - 1, _ROWS).astype(int))]
    respond = partial(effect, trained.kan, rows, column.places, inputs=trained.inputs, outputs=trained.outputs)
    if column.values is None:
        numbers = raw[:, column.places[0]]
        numbers = numbers[np.isfinite(numbers)]
        known = np.unique(numbers)
        values = known if len(known) <= _POINTS else np.linspace(known[0], known[-1], _POINTS)
        found = respond(values=values[:, None], lines=_ROWS)
        if len(known) > 1:
            # The histogram is that of all rows, not of the few that were asked.
            counts, edges = np.histogram(numbers, bins=20)
            found = replace(found, counts=counts.astype(np.int64), edges=edges.astype(np.float64))
        return DrawnEffect(column, found)
    own = column.find_words(raw, cells)
    counts = np.bincount(own[own >= 0], minlength=len(column.words))
    most = np.argsort(-counts, kind="stable")[:_MOST_WORDS]
    most = most[counts[most] > 0] if counts.any() else most
    found = respond(values=column.values[most], lines=_ROWS)
    words = tuple(column.words[place] or "(empty)" for place in most)
    return DrawnEffect(column, replace(found, counts=counts[most]), words)


def _strength(one: DrawnEffect) -> float:
    single = one.effect.single
    if one.words:
        weights = one.effect.counts.astype(np.float64)
        weights = weights if weights.any() else np.ones(len(weights))
    else:
        place = np.searchsorted(one.effect.edges[1:-1], one.effect.values[:, 0], side="right")
        weights = one.effect.counts[place].astype(np.float64)
    finite = np.isfinite(single).all(axis=(1, 2))
    if not finite.any() or not weights.any():
        return 0.0
    some = single[finite]
    mean = np.average(some, axis=1, weights=weights)[:, None]
    variance = np.average(np.square(some - mean), axis=1, weights=weights)
    return float(np.sqrt(variance).mean())
