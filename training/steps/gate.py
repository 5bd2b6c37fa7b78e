"""Whether the network that a step made may take the place of the one before.

It needs a finite answer to every row of the table, whatever the order in which numbers are rounded: graph and torch
have different ones. Of held-out rows the features alone are looked at, never the targets, and only to go back from
formulas to splines: a network is published either way.

And its loss on the validation rows may be larger by an allowance only, a share of what always answering the mean
(of classes: their frequencies) loses on the training rows. For numbers an allowance of 0.05 lets R² fall by 0.05.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kan_model import KAN
from training.data.objective.loss import best_constant, loss
from training.data.preparation import samples
from training.fitting.evaluation import answers
from training.steps.doubtful_rows import find_doubtful
from training.steps.state import StepData, validation_loss

# Rows that are named.
_MOST_ROWS = 3


@dataclass(frozen=True)
class Silence:
    """Rows that a network has no finite answer to.

    Attributes:
        edge: Layer, output and input of the edge that has none to the first of them; None where a sum is too large.
        text: Which edge, how many rows, and which, for people.
    """

    edge: tuple[int, int, int] | None
    text: str


def find_silence(kan: KAN, table: StepData) -> Silence | None:
    """Which rows have no finite answer, and by which edge; None where all have one."""
    for which, rows in _parts(kan, table):
        silent = (~torch.isfinite(answers(kan, rows))).any(dim=1).nonzero()[:, 0].tolist()
        if silent:
            edge, fault = _find_fault(kan, rows[silent[:1]], table)
            return Silence(edge, f"{fault}; no answer to {_name_rows(silent, len(rows), which)}")
        if doubtful := find_doubtful(kan, rows):
            edge, some = doubtful
            fault = _describe_edge(kan, edge, table)
            named = _name_rows(some, len(rows), which)
            return Silence(edge, f"{fault} is at the end of its domain: rounding decides on the answer to {named}")
    return None


def decline(kan: KAN, before: float, allowance: float, table: StepData) -> str | None:
    """Why this network is too much worse on the validation rows than one of loss ``before``; None where it is not."""
    allowed, after = before + allowance * _loss_of_a_constant(table), validation_loss(kan, table)
    if after <= allowed:
        return None
    text = f"validation loss {after:.3g}, {before:.3g} before, at most {allowed:.3g} allowed (max_loss_increase"
    return f"{text} = {allowance:g}{_loosen(after - before, _loss_of_a_constant(table))})"


def _loosen(increase: float, of_constant: float) -> str:
    """The allowance of two digits that would do, where the loss grows by less than that of a constant answer."""
    if not 0 < increase < of_constant:
        return ""
    share = increase / of_constant
    unit = 10.0 ** (math.floor(math.log10(share)) - 1)
    return f"; {math.ceil(share / unit) * unit:.2g} would do"


def _name_rows(numbers: list[int], count: int, which: str) -> str:
    named = ", ".join(map(str, numbers[:_MOST_ROWS]))
    more = f" and {len(numbers) - _MOST_ROWS} more" if len(numbers) > _MOST_ROWS else ""
    return f"{len(numbers)} of {count} {which} rows (from 0: {named}{more})"


def _parts(kan: KAN, table: StepData) -> Iterator[tuple[str, Tensor]]:
    yield "training", table.train.x
    yield "validation", table.validation.x
    yield "held-out", samples(table.dataset, table.dataset.test, table.inputs, table.outputs, kan.dtype).x


def _loss_of_a_constant(table: StepData) -> float:
    y, weights = table.train.y, table.train.weights
    if table.dataset.task == "regression":
        if table.loss.name != "squared_error":
            return float(loss(table.loss, best_constant(table.loss, y, weights).expand_as(y), y, weights))
        if weights is None:
            return float(torch.var(y, dim=0, correction=0).mean())
        mean = (weights[:, None] * y).mean(dim=0)
        return float((weights[:, None] * (y - mean).square()).mean())
    shares = torch.bincount(y, weights).double() / len(y)
    return float(torch.special.entr(shares).sum())


def _find_fault(kan: KAN, x: Tensor, table: StepData) -> tuple[tuple[int, int, int] | None, str]:
    """The first edge that has no finite answer to this row, and its words."""
    with torch.no_grad():
        for index, layer in enumerate(kan.layers):
            broken = (~torch.isfinite(layer.edge_outputs(x)[0])).nonzero().tolist()
            if broken:
                output, input_ = broken[0]
                edge = (index, output, input_)
                return edge, f"{_describe_edge(kan, edge, table)} is given {x[0, input_].item():.4g}"
            x = layer(x)
    return None, "a sum of edges is too large for the network's type"


def _describe_edge(kan: KAN, edge: tuple[int, int, int], table: StepData) -> str:
    """Its function and its place."""
    index, output, input_ = edge
    layer = kan.layers[index]
    functions = dict(zip(layer.symbolic_places, layer.symbolic_functions, strict=True))
    name = f" ({table.dataset.input_names[input_]})" if index == 0 else ""
    return f"{functions.get((output, input_), 'spline')} on the edge of layer {index} from {input_}{name} to {output}"
