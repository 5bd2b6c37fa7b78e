"""Functions that the symbolic library lacks: whether the search says so.

A KAN [1,1] learns the function, so that its edge is the function. Then the search is asked for a formula of the edge.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Experiment, Number, Outcome, Run
from benchmarks.paper.medians import column, number, spread
from kan_model import KAN, KANConfig, auto_symbolic, suggest_symbolic
from training.data.samples import Samples
from training.fitting.fit import fit_module
from training.recipe.fit_sections import FitSection

Values = NDArray[np.float64]
_ROWS, _GRID_SIZE = 600, 60
_SEEDS = range(10)
# auto_symbolic's own threshold.
MIN_R2 = 0.99
_CONTENDER = "suggest_symbolic on a KAN [1,1]"
_QUICK = ("x", "sin", "tanh")


@dataclass(frozen=True)
class Curve:
    """A function of one variable, and where it is looked at."""

    function: Callable[[Values], Values]
    low: float
    high: float


CURVES: Mapping[str, Curve] = MappingProxyType(
    {
        "J0(20x)": Curve(lambda x: special.jv(0, 20 * x), -1, 1),
        "Ai(8x)": Curve(lambda x: special.airy(8 * x)[0], -1, 1),
        "Si(10x)": Curve(lambda x: special.sici(10 * x)[0], -1, 1),
        "sin(x)/x": Curve(lambda x: np.sinc(x / np.pi), -10, 10),
        "erf(x)": Curve(special.erf, -3, 3),
        "lgamma(x)": Curve(special.gammaln, 0.2, 5),
        "P5(x)": Curve(lambda x: special.eval_legendre(5, x), -1, 1),
    }
)


def plan(quick: bool) -> Sequence[Run]:
    """Each function from each seed of the points."""
    return [
        Run(name, _CONTENDER, seed)
        for seed in _SEEDS[: 1 if quick else None]
        for name in list(CURVES)[: 1 if quick else None]
    ]


def measure(run: Run, quick: bool) -> Mapping[str, Number]:
    """The best function of the library for one curve, and whether auto_symbolic leaves the spline."""
    curve = CURVES[run.case]
    kan, x, error = learned(curve, run.seed, quick)
    functions = _QUICK if quick else None
    best = max(suggest_symbolic(kan, x, 0, 0, 0, functions=functions), key=lambda each: each.r2)
    (edge,) = auto_symbolic(kan, x, min_r2=MIN_R2, functions=[best.edge.function]).edges
    return {"spline": error, "function": best.edge.function, "r2": best.r2, "stays_spline": int(not edge.fixed)}


def learned(curve: Curve, seed: int, quick: bool = False) -> tuple[KAN, torch.Tensor, float]:
    """A KAN [1,1] that is the curve, its rows ``[rows, 1]``, and its test error as a share of the deviation."""
    generator = np.random.default_rng(seed)
    train, test = (generator.uniform(curve.low, curve.high, (100 if quick else _ROWS, 1)) for _ in range(2))
    x, y = torch.from_numpy(train), torch.from_numpy(curve.function(train))
    config = KANConfig((1, 1), grid_size=12 if quick else _GRID_SIZE, domain=(curve.low, curve.high))
    plan = FitSection(optimizer="levenberg-marquardt", steps=20)
    samples = Samples(x, y)
    kan = fit_module(KAN(config, dtype=torch.float64), samples, samples, plan, "regression").best
    truth = curve.function(test)
    with torch.no_grad():
        error = np.sqrt(np.mean((kan(torch.from_numpy(test)).numpy() - truth) ** 2)) / truth.std()
    return kan, x, float(error)


def show(outcomes: Sequence[Outcome], _pictures: Path) -> str | None:
    """A row for each function, worst fit first."""
    if not outcomes:
        return None
    rows = [["function", "on", "spline, RMSE / std(y)", "best of the library", "R²", "says"]]
    for name, found in sorted(_by_curve(outcomes).items(), key=lambda each: statistics.median(column(each[1], "r2"))):
        curve, functions = CURVES[name], sorted({str(one.numbers["function"]) for one in found})
        stays = column(found, "stays_spline")
        says = "nothing fits; stays a spline" if all(stays) else f"{' or '.join(functions)}: close, not equal"
        r2 = column(found, "r2")
        shown = f"{statistics.median(r2):.5f} ({min(r2):.5f} to {max(r2):.5f})"
        place = f"[{curve.low:g}, {curve.high:g}]"
        rows.append([name, place, spread(column(found, "spline")), " or ".join(functions), shown, says])
    note = f"An edge becomes a function only if R² is at least {MIN_R2}; a function that is one of the library has 1. "
    note += "There is no MLP beside: it has no edge of which a formula could be asked."
    return f"{render(rows)}\n{note}\n"


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many are refused."""
    found = _by_curve(outcomes)
    refused = sum(all(column(some, "stays_spline")) for some in found.values())
    return (
        f"Of {len(found)} functions that the library lacks, {refused} are said to be none of it; the others are "
        f"close to one on their range (R² at least {MIN_R2}), and are taken for it unless the threshold is raised."
    )


def _by_curve(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    found = {name: [one for one in outcomes if one.run.case == name] for name in CURVES}
    return {name: some for name, some in found.items() if some}


EXPERIMENT = Experiment(
    name="outside",
    title="Functions outside the library",
    claim=(
        "Section 3.1 takes J0(20x) as a function that a spline learns and no formula of the library is. The search for "
        "a formula has to say so, not to give a wrong one."
    ),
    revision=1,
    compared=("spline", "r2"),
    conclusions=(
        Conclusion("share of functions that stay splines", lambda outcome: number(outcome, "stays_spline"), "share"),
        Conclusion("spline, RMSE / std(y), geometric mean", lambda outcome: number(outcome, "spline"), "ratio"),
    ),
    plan=plan,
    measure=measure,
    show=show,
    summary=summary,
)
