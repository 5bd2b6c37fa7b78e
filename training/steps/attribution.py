"""[attribution]: which columns the answers depend on, and which of them act together."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kan_model import KAN, interactions
from training.errors import quoted
from training.explaining import group_by_column, score_inputs
from training.recipe.fit_sections import AttributionSection
from training.steps.state import Finished, StepData

# Rows that tell which pairs act together; more would change the second digit.
_ROWS = 1000
# Columns whose pairs are looked at: they are computed once for each half of their square.
_MOST_PAIRED = 64
# How the notes begin. Those of an earlier look, at another network, give way.
_STARTS = ("attribution: ", "pairs: ", "pairs, share of the variance: ")
# A smaller share of the variance is an accident of the rows.
_LEAST_SHARE = 1e-3


def add_attribution(
    done: Finished, section: AttributionSection, table: StepData, *, validation_trains: bool = False
) -> Finished:
    """The same network, and what its answers to training rows depend on.

    Args:
        done: The network and the notes so far.
        section: How much is told.
        table: The rows.
        validation_trains: Whether its validation rows are training rows too, as in the manifest.
    """
    done = replace(done, notes=tuple(note for note in done.notes if not note.startswith(_STARTS)))
    rows = torch.cat([table.train.x, table.validation.x]) if validation_trains else table.train.x
    names, groups = group_by_column(table.dataset.input_columns)
    try:
        of_inputs = score_inputs(done.kan, rows, table.outputs)
        scores = of_inputs if len(names) == len(groups) else score_inputs(done.kan, rows, table.outputs, groups)
    except ValueError as error:
        return replace(done, notes=(*done.notes, f"attribution: {error}"))
    shown = ", ".join(f"{quoted(names[place])} {scores[place]:.2g}" for place in _find_largest(scores, section.inputs))
    more = f" and {len(names) - section.inputs} more" if len(names) > section.inputs else ""
    notes = [
        f"attribution: {shown}{more}",
        *_describe_pairs(done.kan, rows[:: -(-len(rows) // _ROWS)], names, groups, section.pairs),
    ]
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
