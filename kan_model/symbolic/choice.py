"""From splines to formulas: find functions that fit an edge, and replace the edge by one of them."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kan_model.network.checks import check_edge, check_layer, check_rows
from kan_model.network.connections import single_edge
from kan_model.network.functions import FUNCTIONS
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.rows.blocks import answers
from kan_model.symbolic.fit import Fit, fit_functions
from kan_model.symbolic.invariance import invariance_of

# Fits with 1 - R² below this count as exact.
_EXACT = 1e-12
# Scores closer than this count as equal, for example of sin and cos, which give the same curves.
_TIE = 0.05


@dataclass(frozen=True)
class Candidate:
    """A formula that could replace an edge.

    Attributes:
        layer: Index of the edge's layer.
        edge: The formula and its place.
        r2: 1 − squared error / variance of the edge's values on the rows, at most 1.
        complexity: Complexity of the function.
        score: log2(1 − r2) + weight·(complexity + free constants); lower is better. At weight 1, one more unit of
            complexity or one more free constant must halve the squared error. A constant is free if no other constant
            does the same: in c·(a·x)² a is not, because c does the same.
    """

    layer: int
    edge: SymbolicEdge
    r2: float
    complexity: int
    score: float


@dataclass(frozen=True)
class EdgeReport:
    """The result for one edge.

    Attributes:
        layer: Index of the edge's layer.
        output: Index of the node that the edge feeds.
        input: Index of the node that the edge reads.
        best: If ``fixed``: the formula that replaced the edge. Otherwise: the best formula, which was not good enough;
            None if no function applied.
        fixed: True if ``best`` replaced the edge; False if the edge is still a spline.
    """

    layer: int
    output: int
    input: int
    best: Candidate | None
    fixed: bool


@dataclass(frozen=True)
class Symbolized:
    """A network in which formulas replaced edges.

    Attributes:
        kan: The network.
        edges: The result for every edge that was a spline in one of the given layers, layer by layer.
    """

    kan: KAN
    edges: tuple[EdgeReport, ...]

    @property
    def splines(self) -> tuple[EdgeReport, ...]:
        """The edges that are still splines."""
        return tuple(edge for edge in self.edges if not edge.fixed)


def suggest_symbolic(
    kan: KAN,
    rows: Tensor,
    layer: int,
    output: int,
    input_: int,
    *,
    functions: Sequence[str] | None = None,
    weight: float = 1.0,
) -> tuple[Candidate, ...]:
    """Formulas that could replace an edge, best first.

    Args:
        kan: The network.
        rows: ``[2 or more rows, inputs]``, imputed and scaled.
        layer: Index of the edge's layer.
        output: Index of the node that the edge feeds.
        input_: Index of the node that the edge reads.
        functions: Names of the functions to try; None: all of the library.
        weight: How many halvings of the squared error a unit of complexity is worth, 0 or more.

    Returns:
        The candidates by score (see :class:`Candidate`); equal scores by the size of the shift b, smallest first.
        Empty if no function is finite on the edge's inputs.

    Raises:
        ValueError: an edge that does not exist or is symbolic; rows that the network cannot read; unknown functions; a
            negative weight.
    """
    x = _check(kan, rows, weight)
    if (output, input_) in check_edge(kan, layer, output, input_).symbolic_places:
        raise ValueError(f"layer {layer}: the edge from input {input_} to output {output} is symbolic already")
    with torch.no_grad():
        for before in kan.layers[:layer]:
            x = answers(copy.deepcopy(before).double(), x)
        return _candidates(kan.layers[layer], layer, x, output, input_, functions, weight)


def fix_symbolic(kan: KAN, layer: int, edge: SymbolicEdge) -> KAN:
    """The network with one edge replaced by a formula.

    Example: ``best = suggest_symbolic(kan, rows, 0, 0, 1)[0]``, then ``fix_symbolic(kan, best.layer, best.edge)``.

    Raises:
        ValueError: the layer or the edge does not exist.
    """
    check_layer(kan, layer)
    layers = [copy.deepcopy(each) for each in kan.layers]
    layers[layer] = layers[layer].with_symbolic([edge])
    return kan.with_layers(layers)


def auto_symbolic(
    kan: KAN,
    rows: Tensor,
    *,
    min_r2: float = 0.99,
    layers: Sequence[int] | None = None,
    functions: Sequence[str] | None = None,
    weight: float = 1.0,
    check: Callable[[], None] | None = None,
) -> Symbolized:
    """The network with every edge replaced by a formula that is close enough, where there is one.

    The layers are handled from the inputs on. Each later edge is fitted on the values that it gets from the formulas
    before it. Edges that are symbolic already stay unchanged.

    Args:
        kan: The network; it is not changed.
        rows: ``[2 or more rows, inputs]``, imputed and scaled.
        min_r2: The smallest r2 of a formula that replaces an edge, above 0 and at most 1.
        layers: Indices of the layers to change; None: all. With one layer at a time the rest of the network can be
            trained again in between.
        functions: Names of the functions to try; None: all of the library.
        weight: How many halvings of the squared error a unit of complexity is worth, 0 or more.
        check: Called before each edge; it may raise to end the search.

    Returns:
        The network, and the result for each edge.

    Raises:
        ValueError: rows that the network cannot read; min_r2 outside its range; a layer that does not exist, or that
            has edges with a direction; unknown functions; a negative weight.
    """
    x = _check(kan, rows, weight)
    if not 0 < min_r2 <= 1:
        raise ValueError(f"min_r2 is {min_r2}; wanted above 0, at most 1")
    chosen = range(len(kan.layers)) if layers is None else layers
    for index in chosen:
        check_layer(kan, index)
        layer = kan.layers[index]
        if layer.directions is not None and (layer.directions * layer.edge_mask).any():
            raise ValueError(f"layer {index} has edges with a direction, which formulas may not keep")
    # The layer's inputs in the network's own float type: at the end of a domain, rounding decides between a number
    # and an infinity or NaN. For example log(x − 1) at x = 1 + 1e-9 is −∞ in float32.
    own = rows.detach().to(kan.layers[0].base_weight)
    after: list[KANLayer] = []
    reports: list[EdgeReport] = []
    with torch.no_grad():
        for index, layer in enumerate(kan.layers):
            found = []
            for output, input_ in _splines(layer) if index in chosen else ():
                if check is not None:
                    check()
                ranked = _candidates(layer, index, x, output, input_, functions, weight)
                good = [each for each in ranked if each.r2 >= min_r2 and _is_finite(each.edge, own[:, input_])]
                best = next(iter(good or ranked), None)
                found.append(EdgeReport(index, output, input_, best, bool(good)))
            fixed = layer.with_symbolic([report.best.edge for report in found if report.best and report.fixed])
            x, own = answers(copy.deepcopy(fixed).double(), x), answers(fixed, own)
            after.append(fixed)
            reports += found
    return Symbolized(kan.with_layers(after), tuple(reports))


def _splines(layer: KANLayer) -> Iterator[tuple[int, int]]:
    yield from (layer.edge_mask != 0).nonzero().tolist()


def _candidates(
    layer: KANLayer, index: int, x: Tensor, output: int, input_: int, functions: Sequence[str] | None, weight: float
) -> tuple[Candidate, ...]:
    """The candidates of a spline edge, best first, for inputs ``[rows, inputs]`` of its layer in float64."""
    values = answers(single_edge(layer, output, input_), x[:, [input_]]).squeeze(1)
    try:
        fits = fit_functions(x[:, input_], values, functions, dtype=layer.base_weight.dtype)
    except ValueError as error:
        raise ValueError(f"layer {index}, edge from input {input_} to output {output}: {error}") from error
    ranked = [_candidate(fit, index, output, input_, weight) for fit in fits]
    best = min((candidate.score for candidate in ranked), default=0.0)
    return tuple(sorted(ranked, key=lambda candidate: (max(candidate.score, best + _TIE), abs(candidate.edge.b))))


def _is_finite(edge: SymbolicEdge, x: Tensor) -> bool:
    a, b, c, d = torch.tensor(edge.affine, dtype=torch.float64).to(x)
    return bool(torch.isfinite(c * FUNCTIONS[edge.function].torch(a * x + b) + d).all())


def _candidate(fit: Fit, layer: int, output: int, input_: int, weight: float) -> Candidate:
    edge = SymbolicEdge(output, input_, fit.function, fit.a, fit.b, fit.c, fit.d)
    complexity = FUNCTIONS[fit.function].complexity
    score = math.log2(1 - fit.r2 + _EXACT) + weight * (complexity + invariance_of(fit.function).free_constants)
    return Candidate(layer, edge, fit.r2, complexity, score)


def _check(kan: KAN, rows: Tensor, weight: float) -> Tensor:
    """The rows in float64, if they and the weight are valid."""
    if not 0 <= weight < math.inf:
        raise ValueError(f"weight is {weight}; wanted a number of 0 or more")
    return check_rows(kan, rows, at_least=2).detach().double().to(kan.layers[0].base_weight.device)
