"""Better functions for the edges of a formula, one edge at a time, by the criterion of the whole formula.

The edges were chosen one after another, the first while splines stood behind them. With all others as functions, every
function is tried on each edge again: its constants start at the best fit to the edge's values, then all constants are
fitted to the targets. Example: 1/(0.85 − 0.54·cos(b)) is close to 1/(1 + b²), and x² in place of cos makes it equal.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch

from kan_model import FUNCTIONS, KAN
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.symbolic.fit import fit_functions
from kan_model.symbolic.invariance import invariance_of
from kan_model.symbolic.simplify import simplify_constants
from training.data.samples import Samples
from training.formulas.descent import error
from training.formulas.shapes import count_edges
from training.formulas.work import STEPS_OF_A_FUNCTION, Work, WorkSpent

# Exchanges that are fitted to the end, of those that a short fit likes best.
_FINALISTS = 2
_ROUNDS = 4
# Steps of a fit to a plain value, or of one whose constants are free; as in :mod:`kan_model.symbolic.simplify`.
_STEPS = 15
# A criterion has to fall by this.
_GAIN = 1.0
# Errors below this share of the deviation are equally small: a graph in float32 computes no formula much closer.
# Without noise the logarithm of the error would otherwise buy any number of constants.
_EXACT = 1e-6
# Rows hardly tell two forms whose criteria differ by less (Kass and Raftery 1995: more is strong). Answers that
# are the same up to this share of the error are those of one form, as of sin(x) and cos(x - π/2).
_CLEAR, _SAME = 6.0, 0.1


@dataclass(frozen=True)
class Form:
    """A network of functions with plain constants.

    Attributes:
        kan: The network.
        criterion: Bayesian information criterion with the complexity of the functions; lower is better.
        free_constants: How many constants are neither redundant nor held at a plain value.
        near: The forms with another function on an edge that were tried last, and whose criterion is hardly higher.
    """

    kan: KAN
    criterion: float
    free_constants: int
    near: tuple["Form", ...] = ()


def make_form(kan: KAN, train: Samples, work: Work, *, hold: bool = True) -> Form | None:
    """The form of a network of functions, its constants fitted and simplified; None if some row has no answer.

    Args:
        kan: The network.
        train: The training rows.
        work: Counts each fit.
        hold: Whether constants may be held at plain values.

    Raises:
        WorkSpent: before all constants were tried.
    """
    edges = count_edges(kan)
    work.add(_STEPS, edges)
    found = simplify_constants(kan, train.x, train.y, hold=hold, check=lambda: work.add(_STEPS, edges))
    if found is None:
        return None
    price = math.log(len(train.x)) * (found.free_constants + _complexity(found.kan))
    mean_square = max(error(found.kan, train), _EXACT) ** 2
    return Form(found.kan, len(train.x) * math.log(mean_square) + price, found.free_constants)


def improve(form: Form, train: Samples, functions: Sequence[str], work: Work) -> Form:
    """Exchange the function of an edge while the criterion falls.

    Args:
        form: The start.
        train: The training rows.
        functions: Names of the functions to try.
        work: Counts each fit. Where it is spent, the best form so far is given.
    """
    with suppress(WorkSpent):
        for _ in range(_ROUNDS):
            tried = _exchanges(form.kan, train, functions, work, cheaper=error(form.kan, train) <= _EXACT)
            quick = [found for kan in tried if (found := make_form(kan, train, work, hold=False)) is not None]
            quick.sort(key=lambda each: each.criterion)
            made = [make_form(each.kan, train, work) for each in quick[:_FINALISTS]]
            finished = [each for each in made if each is not None]
            best = min(finished, key=lambda each: each.criterion, default=form)
            if best.criterion > form.criterion - _GAIN:
                near = (each for each in finished if each.criterion < form.criterion + _CLEAR)
                return replace(form, near=tuple(near))
            form = best
    return form


def find_rival(form: Form, others: Sequence[Form], train: Samples) -> Form | None:
    """The best other form that the rows hardly tell from this one; None: there is none.

    Args:
        form: The best one.
        others: Further forms, and those near to them; the form itself may be among them.
        train: The training rows.
    """
    with torch.no_grad():
        answers = form.kan(train.x)
        tried = [each for other in others for each in (other, *other.near)]
        least = max(_EXACT, _SAME * error(form.kan, train))
        rivals = [
            each
            for each in tried
            if each.criterion < form.criterion + _CLEAR
            and float((each.kan(train.x) - answers).square().mean().sqrt()) > least
        ]
    return min(rivals, key=lambda each: each.criterion, default=None)


def _exchanges(kan: KAN, train: Samples, functions: Sequence[str], work: Work, *, cheaper: bool) -> Iterator[KAN]:
    """The network with another function on one edge, best fitted to the edge's values; ``cheaper``: of fewer parts."""
    x = train.x.double()
    for index, layer in enumerate(kan.layers):
        with torch.no_grad():
            values = layer.edge_outputs(x.to(kan.dtype)).double()
        for place, edge in enumerate(layer.symbolic):
            most = _price(edge.function) if cheaper else math.inf
            others = [each for each in functions if each != edge.function and _price(each) < most]
            if not others:
                continue
            work.add(STEPS_OF_A_FUNCTION * len(others))
            try:
                fits = fit_functions(x[:, edge.input], values[:, edge.output, edge.input], others, dtype=kan.dtype)
            except ValueError:  # Some value is not finite.
                continue
            for fit in fits:
                edges = list(layer.symbolic)
                edges[place] = SymbolicEdge(edge.output, edge.input, fit.function, fit.a, fit.b, fit.c, fit.d)
                layers = list(kan.layers)
                layers[index] = layer.changed(symbolic=edges)
                yield kan.with_layers(layers)
        with torch.no_grad():
            x = layer(x.to(kan.dtype)).double()


def _price(function: str) -> int:
    return FUNCTIONS[function].complexity + invariance_of(function).free_constants


def _complexity(kan: KAN) -> int:
    return sum(FUNCTIONS[name].complexity for layer in kan.layers for name in layer.symbolic_functions)
