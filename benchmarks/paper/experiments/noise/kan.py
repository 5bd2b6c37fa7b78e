"""A formula from noisy rows by KANs: the same few shapes and steps for every law.

Each shape is trained, pruned, trained again, turned into functions layer by layer, and its constants are fitted. Of
the formulas whose validation error is close to the lowest, the simplest is taken.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import sympy
import torch
from torch import Tensor

from benchmarks.paper.experiments.noise.laws import ROWS, Values
from kan_model import FUNCTIONS, KAN, KANConfig, adapt_grid, auto_symbolic, fit_constants, prune
from kan_model.formula.expression import formula
from kan_model.formula.short import round_numbers, shorten
from kan_model.network.network import Level
from training.data.samples import Samples
from training.errors import TrainingError
from training.fitting.fit import fit_module
from training.recipe.fit_sections import FitSection

_GRID_SIZE = 4
_STEPS = 40
_STARTS = 2
_MIN_R2 = 0.9
# A formula whose validation error is this much larger than the lowest one may still be taken if it is simpler. The
# error of 100 rows differs by 7 % from sample to sample.
_SLACK = 1.05
# Networks with a larger error, as a share of the deviation and of the lowest error, are worth no search for functions.
_WORTH, _WORTH_OF_LOWEST = 0.02, 1.3
# The search takes seconds an edge, so only the simplest good shapes are searched, and for the common functions.
_MOST_SEARCHED = 2
# fmt: off
_COMMON = (
    "x", "x^2", "x^3", "1/x", "1/x^2", "sqrt", "1/sqrt(x)", "exp", "log", "sin", "cos", "tanh", "arctanh", "gaussian",
)
# fmt: on
# Errors below this share of the deviation are equally small.
_EXACT = 1e-5


@dataclass(frozen=True)
class Found:
    """A formula.

    Attributes:
        expression: In symbols of the given names.
        text: For people.
        shape: Width of the network.
        error: Root mean square error on the validation rows, as a share of their deviation.
        complexity: Of its functions, with 1 for each edge.
    """

    expression: sympy.Expr
    text: str
    shape: str
    error: float
    complexity: int


def shapes(inputs: int) -> list[tuple[Level, ...]]:
    """From the simplest on: sums, a function of a sum, a product, a function of a product, a product in a sum."""
    if inputs == 1:
        return [(1, 1), (1, 1, 1)]
    one: list[tuple[Level, ...]] = [(inputs, 1), (inputs, 1, 1), (inputs, (0, 1)), (inputs, (0, 1), 1)]
    return [*one, (inputs, (1, 1), 1), (inputs, 2, (0, 1))]


def find_formula(rows: Values, values: Values, names: Sequence[str], seed: int, quick: bool = False) -> Found | None:
    """The formula of some rows; None if no shape becomes one.

    Args:
        rows: ``[rows, variables]``; the last 100 of 500 choose.
        values: ``[rows]``.
        names: Of the variables.
        seed: Of the networks' starts.
        quick: Two shapes only.
    """
    x, y = torch.from_numpy(rows), torch.from_numpy(values)[:, None]
    # The answers get the deviation 1. They keep their mean: without it a product is no product any more.
    scale = float(y[:ROWS].std())
    scaled = y / scale
    train, validation = Samples(x[:ROWS], scaled[:ROWS]), Samples(x[ROWS:], scaled[ROWS:])
    trained = [
        (shape, _splines(shape, train, validation, seed)) for shape in shapes(len(names))[: 2 if quick else None]
    ]
    errors = [_error(kan, validation) for _, kan in trained]
    worth = max(_WORTH, _WORTH_OF_LOWEST * min(errors))
    good = [each for each, error in zip(trained, errors, strict=True) if error <= worth]
    tried = [
        found
        for shape, kan in good[:_MOST_SEARCHED]
        if (found := _formula_of(kan, train, validation, names, str(list(shape)), scale))
    ]
    if not tried:
        return None
    lowest = max(_EXACT, min(each.error for each in tried))
    return min((each for each in tried if each.error <= _SLACK * lowest), key=lambda each: each.complexity)


def _splines(shape: tuple[Level, ...], train: Samples, validation: Samples, seed: int) -> KAN:
    """The best network of a shape from a few starts, without the edges that the validation rows do not miss."""
    low, high = train.x.amin(dim=0), train.x.amax(dim=0)
    domain = tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))
    config = KANConfig(shape, grid_size=_GRID_SIZE, domain=domain)
    starts = [KAN(config, seed=_STARTS * seed + n, dtype=torch.float64) for n in range(_STARTS)]
    best = min((_fitted(kan, train, validation) for kan in starts), key=lambda kan: _error(kan, validation))
    allowed = _SLACK * max(_EXACT, _error(best, validation))
    while (edges := sum(int(layer.active_edges.sum()) for layer in best.layers)) > 1:
        try:
            smaller = _fitted(prune(best, train.x, edges=edges - 1, keep_inputs=True).kan, train, validation)
        except ValueError:  # No path from an input to the output would be left.
            break
        if _error(smaller, validation) > allowed:
            break
        best = smaller
    return best


def _formula_of(
    kan: KAN, train: Samples, validation: Samples, names: Sequence[str], shape: str, scale: float
) -> Found | None:
    try:
        symbolic = _symbolic(kan, train, validation)
    except (ValueError, TrainingError):  # Some function has no answer to some row.
        return None
    return None if symbolic is None else described(symbolic, validation, names, shape, scale)


def _fitted(kan: KAN, train: Samples, validation: Samples) -> KAN:
    """Trained in two rounds; before each the hidden grids move to the hidden values."""
    plan = FitSection(optimizer="levenberg-marquardt", steps=_STEPS)
    for _ in range(2):
        kan = adapt_grid(kan, train.x, uniform_share=1.0, max_moved=math.inf).kan
        kan = fit_module(kan, train, validation, plan, "regression").best
    return kan


def _symbolic(kan: KAN, train: Samples, validation: Samples) -> KAN | None:
    """All edges as functions, the last layers trained again in between; None if an edge stays a spline."""
    plan = FitSection(optimizer="levenberg-marquardt", steps=_STEPS)
    for layer in range(len(kan.layers)):
        kan = auto_symbolic(kan, train.x, min_r2=_MIN_R2, layers=[layer], functions=_COMMON).kan
        if layer + 1 < len(kan.layers):
            kan = fit_module(kan, train, validation, plan, "regression").best
    if any((layer.edge_mask != 0).any() for layer in kan.layers):
        return None
    kan = fit_constants(kan, train.x, train.y, steps=300)
    # Splines had learned some noise; what is left of it beside the functions goes.
    smaller = fit_constants(prune(kan, train.x, keep_inputs=True).kan, train.x, train.y, steps=300)
    return smaller if _error(smaller, validation) <= _SLACK * max(_EXACT, _error(kan, validation)) else kan


def described(kan: KAN, validation: Samples, names: Sequence[str], shape: str, scale: float) -> Found:
    """The formula of a network of functions whose answers are in units of ``scale``."""
    expression = formula(kan, names=names).expressions[0]
    symbols = {symbol: sympy.Symbol(symbol.name, real=True) for symbol in expression.free_symbols}
    whole = scale * expression.xreplace(symbols)
    text = str(round_numbers(shorten(whole, simplify=True), 3))
    edges = [name for layer in kan.layers for name in layer.symbolic_functions]
    complexity = sum(FUNCTIONS[name].complexity for name in edges) + len(edges)
    return Found(whole, text, shape, _error(kan, validation), complexity)


def _error(kan: KAN, samples: Samples) -> float:
    with torch.no_grad():
        answers: Tensor = kan(samples.x)
        error = float((answers - samples.y).square().mean().sqrt())
    return error if math.isfinite(error) else math.inf
