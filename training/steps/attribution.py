"""[attribution]: which columns the answers depend on, and which of them act together."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kan_model import KAN, attribute, interactions
from training.errors import quoted
from training.recipe.fit_sections import AttributionSection
from training.steps.state import Finished, StepData

# Rows that tell how much inputs matter; more would change the second digit.
_ROWS = 1000
# Columns whose pairs are looked at: they are computed once for each half of their square.
_MOST_PAIRED = 64
# How the notes begin. Those of an earlier look, at another network, give way.
_STARTS = ("attribution: ", "pairs: ", "pairs, share of the variance: ")
# A smaller share of the variance is an accident of the rows.
_LEAST_SHARE = 1e-3


def add_attribution(done: Finished, section: AttributionSection, table: StepData) -> Finished:
    """The same network, and what its answers to training rows depend on."""
    done = replace(done, notes=tuple(note for note in done.notes if not note.startswith(_STARTS)))
    rows = table.train.x[:: -(-len(table.train.x) // _ROWS)]
    names = list(dict.fromkeys(table.dataset.input_columns))
    groups = [names.index(column) for column in table.dataset.input_columns]
    try:
        of_inputs, scores = attribute(done.kan, rows).inputs, attribute(done.kan, rows, groups=groups).inputs
    except ValueError as error:
        return replace(done, notes=(*done.notes, f"attribution: {error}"))
    shown = ", ".join(f"{quoted(names[place])} {scores[place]:.2g}" for place in _find_largest(scores, section.inputs))
    more = f" and {len(names) - section.inputs} more" if len(names) > section.inputs else ""
    notes = [f"attribution: {shown}{more}", *_describe_pairs(done.kan, rows, names, groups, section.pairs)]
    return replace(done, notes=(*done.notes, *notes), attribution=tuple(of_inputs.tolist()))


def _describe_pairs(kan: KAN, rows: Tensor, names: list[str], groups: list[int], most: int) -> Iterator[str]:
    if most == 0 or len(names) == 1:
        return
    if len(names) > _MOST_PAIRED:
        yield f"pairs: not looked at, with {len(names)} columns; wanted at most {_MOST_PAIRED}"
        return
    try:
        shares = interactions(kan, rows, groups=groups)
    except ValueError as error:
        yield f"pairs: {error}"
        return
    first, second = np.triu_indices(len(names), 1)
    pairs = shares[first, second]
    told = [
        f"{quoted(names[first[place]])} with {quoted(names[second[place]])} {pairs[place]:.2g}"
        for place in _find_largest(pairs, most)
        if pairs[place] > _LEAST_SHARE
    ]
    yield f"pairs, share of the variance: {', '.join(told)}" if told else "pairs: none act together"


def _find_largest(values: NDArray[np.float64], most: int) -> list[int]:
    places: list[int] = np.argsort(-values, kind="stable")[:most].tolist()
    return places
