"""Recover formulas from samples: exp(sin(πx) + y²) by a [2,1,1] and xy by a [2,2,1] KAN.

``python -m benchmarks.paper.symbolic_recovery`` prints the formulas.

There are 1000 points on [-1, 1]² in float64. LBFGS trains on grids of 3, 5, 10 and 20 intervals from several seeds; the
network with the lowest validation loss is used. The first layer becomes symbolic, the second is trained again and
becomes symbolic too, and the constants are fitted. This is repeated with several weights of the complexity, because a
function has many exact formulas: xy is also half of cos(arcsin x - arcsin y) - cos(arcsin x + arcsin y). Of those that
are exact on the validation points the one with the lowest complexity is taken.

Source: arXiv 2404.19756, sections 2.5.1 and 3.1.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kan_model import FUNCTIONS, KAN, KANConfig, refine_grid
from kan_model.formula.expression import formula
from kan_model.grids.refinement import replace_knots
from kan_model.splines.bspline import uniform_knots
from kan_model.symbolic.choice import auto_symbolic
from kan_model.symbolic.constants import fit_constants

GRIDS = (3, 5, 10, 20)
STARTS = 3
WEIGHTS = (1.0, 4.0)
STEPS = 120
_QUICK_FUNCTIONS = ("x", "x^2", "sin", "exp")
# Formulas with a smaller relative error (RMSE / range) on the validation points count as exact.
EXACT = 1e-5
# A number this close to a whole number is shown as the whole number.
NEAR = 1e-4


@dataclass(frozen=True)
class Problem:
    """A function of x and y on [-1, 1]², and the width of the networks that are trained on it."""

    name: str
    function: Callable[[Tensor], Tensor]
    width: tuple[int, ...]


@dataclass(frozen=True)
class Recovery:
    """The formula found for a problem.

    Attributes:
        name: The true formula.
        kan: The network with symbolic edges.
        formula: The formula found, as text.
        spline_error: RMSE of the splines on test points, relative to the range of the true values.
        max_error: The largest error of the formula on test points, relative to the range of the true values.
        cpu_seconds: Processor time of the whole search.
    """

    name: str
    kan: KAN
    formula: str
    spline_error: float
    max_error: float
    cpu_seconds: float


PROBLEMS = (
    Problem("exp(sin(πx) + y²)", lambda p: torch.exp(torch.sin(math.pi * p[:, :1]) + p[:, 1:] ** 2), (2, 1, 1)),
    Problem("x·y", lambda p: p[:, :1] * p[:, 1:], (2, 2, 1)),
)


def recover(problem: Problem, quick: bool = False, seed: int = 0) -> Recovery:
    """The formula of a problem, from 1000 training and 1000 validation points.

    Args:
        problem: The problem.
        quick: One network on one grid, and few functions: the way is the same, the formula says nothing.
        seed: Of the points and of the networks.
    """
    start = time.process_time()
    (x, y), validation = (_points(problem, 2 * seed + part) for part in range(2))
    starts, grids = (1, GRIDS[:1]) if quick else (STARTS, GRIDS)
    trained = [_train(problem.width, STARTS * seed + start, grids, x, y) for start in range(starts)]
    splines = min((kan for kan in trained if kan is not None), key=lambda kan: _error(kan, *validation))
    weights, functions = (WEIGHTS[:1], _QUICK_FUNCTIONS) if quick else (WEIGHTS, None)
    found = [_symbolic(splines, x, y, weight, functions) for weight in weights]
    errors = [_error(kan, *validation) for kan in found]
    good = [kan for kan, error in zip(found, errors, strict=True) if error <= max(EXACT, min(errors))]
    kan = min(good, key=_complexity)
    side = torch.linspace(-1, 1, 101, dtype=torch.float64)
    test = torch.cartesian_prod(side, side)
    truth = problem.function(test)
    with torch.no_grad():
        max_error = float((kan(test) - truth).abs().max() / (truth.max() - truth.min()))
    seconds = time.process_time() - start
    text = formula(kan, names=("x", "y"), digits=6, splines="keep", near=NEAR, simplify=True).text[0]
    return Recovery(problem.name, kan, text, _error(splines, test, truth), max_error, seconds)


def _points(problem: Problem, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(1000, 2, generator=generator, dtype=torch.float64) * 2 - 1
    return x, problem.function(x)


def _train(width: Sequence[int], seed: int, grids: Sequence[int], x: Tensor, y: Tensor) -> KAN | None:
    """The network of a seed; None if LBFGS diverges so far that no hidden value is near its grid."""
    kan = KAN(KANConfig(tuple(width), grid_size=grids[0]), seed=seed, dtype=torch.float64)
    for grid_size in grids:
        try:
            kan = _fit(refine_grid(kan, grid_size), x, y)
        except ValueError:
            return None
    return kan


def _fit(kan: KAN, x: Tensor, y: Tensor) -> KAN:
    """Train in two rounds; before each round the hidden grids move to the hidden values."""
    for _ in range(2):
        kan = _move_hidden_grids(kan, x)
        optimizer = torch.optim.LBFGS(
            kan.parameters(), max_iter=STEPS // 2, history_size=20, tolerance_change=0.0, line_search_fn="strong_wolfe"
        )
        optimizer.step(_closure(kan, optimizer, x, y))  # type: ignore[no-untyped-call]
    return kan


def _closure(kan: KAN, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> Callable[[], float]:
    variance = float(y.var())

    def closure() -> float:
        optimizer.zero_grad()
        loss = (kan(x) - y).square().mean() / variance
        loss.backward()
        return float(loss.detach())

    return closure


def _move_hidden_grids(kan: KAN, x: Tensor) -> KAN:
    """The network with hidden domains that are the ranges of the hidden values, plus a margin."""
    layers = [kan.layers[0]]
    with torch.no_grad():
        for layer in kan.layers[1:]:
            x = layers[-1](x)
            low, high = x.amin(dim=0), x.amax(dim=0)
            domain = torch.stack([low - 0.02 * (high - low), high + 0.02 * (high - low)], dim=1)
            layers.append(replace_knots(layer, uniform_knots(domain, layer.grid_size, layer.degree)))
    return KAN.of_layers(layers)


def _symbolic(kan: KAN, x: Tensor, y: Tensor, weight: float, functions: Sequence[str] | None) -> KAN:
    for layer in range(len(kan.layers)):
        kan = auto_symbolic(kan, x, min_r2=0.9, layers=[layer], functions=functions, weight=weight).kan
        if layer + 1 < len(kan.layers):
            kan = _fit(kan, x, y)
    return fit_constants(kan, x, y, steps=600)


def _error(kan: KAN, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float((kan(x) - y).square().mean().sqrt() / (y.max() - y.min()))


def _complexity(kan: KAN) -> int:
    splines = sum(int((layer.edge_mask != 0).sum()) for layer in kan.layers)
    return 1000 * splines + sum(FUNCTIONS[name].complexity for each in kan.layers for name in each.symbolic_functions)


def main(arguments: Sequence[str] | None = None) -> None:
    """Solve both problems on one thread and print the formulas."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper.symbolic_recovery", description=__doc__)
    parser.parse_args(arguments)
    torch.set_num_threads(1)
    for problem in PROBLEMS:
        found = recover(problem)
        print(
            f"{found.name} by {list(problem.width)}: splines {found.spline_error:.1e}, "
            f"formula {found.max_error:.1e} of the range, {found.cpu_seconds:.0f} CPU s\n    {found.formula}"
        )


if __name__ == "__main__":
    main()
