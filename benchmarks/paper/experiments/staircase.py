"""Grid extension (:mod:`benchmarks.paper.staircase`) as an experiment: exp(sin(πx) + y²) on finer and finer grids."""

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Experiment, Number, Outcome, Run
from benchmarks.paper.medians import numbers, spread
from benchmarks.paper.outcomes import by_contender
from benchmarks.paper.staircase import GRIDS, OUR_STEPS, WIDTH, ours, points
from kan_model import KAN, KANConfig, parameter_count
from training.data.samples import Samples
from training.fitting.baseline import mlp_like
from training.fitting.fit import fit_module
from training.recipe.fit_sections import FitSection

_CASE = "exp(sin(πx) + y²)"
_KANS = {"KAN [2,5,1]": WIDTH, "KAN [2,1,1]": (2, 1, 1)}
_MLP = "MLP, parameters of [2,5,1] at G = 20"
_MLP_GRID_SIZE, _MLP_STEPS = 20, 300
_SEEDS = range(10)


def plan(quick: bool) -> Sequence[Run]:
    """Two widths and an MLP, from each seed."""
    return [Run(_CASE, name, seed) for seed in _SEEDS[: 1 if quick else None] for name in (*_KANS, _MLP)]


def measure(run: Run, quick: bool) -> Mapping[str, Number]:
    """Test errors of a KAN after each grid, or of the MLP at its end, also as shares of the deviation."""
    test = points(3 * run.seed + 2)
    deviation = float(test[1].std())
    if run.contender in _KANS:
        width, grids = _KANS[run.contender], GRIDS[: 2 if quick else None]
        found = ours(run.seed, width, grids, 3 if quick else OUR_STEPS)
        counts = [float(parameter_count(KAN(KANConfig(width, grid_size=grid_size)))) for grid_size in grids]
        errors = list(found.rmse)
    else:
        kan = KAN(KANConfig(WIDTH, grid_size=_MLP_GRID_SIZE), dtype=torch.float64)
        network = mlp_like(kan, 2, seed=run.seed)
        train, validation = (Samples(*points(3 * run.seed + part)) for part in range(2))
        steps = FitSection(optimizer="levenberg-marquardt", steps=2 if quick else _MLP_STEPS)
        network = fit_module(network, train, validation, steps, "regression").best
        counts = [float(parameter_count(network))]
        with torch.no_grad():
            errors = [float((network(test[0]) - test[1]).square().mean().sqrt())]
    return {"rmse": errors, "relative": [each / deviation for each in errors], "parameters": counts}


def show(outcomes: Sequence[Outcome], _pictures: Path) -> str | None:
    """The errors on each grid."""
    found = by_contender(outcomes, _CASE)
    if not found.keys() >= {*_KANS, _MLP}:
        return None
    rows = [["", "parameters", "test RMSE", "RMSE / std(y)", "CPU s of the run"]]
    for name, some in found.items():
        seconds = f"{statistics.median(one.cpu_seconds for one in some):.0f}"
        for place in range(min(len(numbers(one, "rmse")) for one in some)):
            label = f"{name}, G = {GRIDS[place]}" if name in _KANS else name
            cells = [spread([numbers(one, key)[place] for one in some]) for key in ("rmse", "relative")]
            rows.append([label, f"{numbers(some[0], 'parameters')[place]:.0f}", *cells, seconds])
    note = (
        "1,000 rows to learn from, 1,000 to choose by and 1,000 to judge by. Every network is trained by "
        "Levenberg–Marquardt; pykan's, by LBFGS, reached 3.5e-5 in 280 CPU seconds from one seed "
        "(`python -m benchmarks.paper.staircase` measures both)."
    )
    return f"{render(rows)}\n{note}\n"


def summary(outcomes: Sequence[Outcome]) -> str:
    """The lowest errors."""
    found = by_contender(outcomes, _CASE)
    if not found.keys() >= {*_KANS, _MLP}:
        return ""
    best = {name: statistics.median(min(numbers(one, "rmse")) for one in some) for name, some in found.items()}
    parts = ", ".join(f"{name} {error:.1e}" for name, error in best.items())
    return f"Lowest test RMSE: {parts}."


def _lowest(name: str, outcome: Outcome) -> float | None:
    """The lowest error of a run of a contender."""
    return min(numbers(outcome, "rmse")) if outcome.run.contender == name else None


EXPERIMENT = Experiment(
    name="staircase",
    title="Grid extension: finer grids, lower errors",
    claim=(
        "Figure 2.3: on finer and finer grids the loss falls in steps; the test error is lowest near 50 intervals, and "
        "[2,1,1], the shape of the formula, reaches lower than [2,5,1]."
    ),
    revision=1,
    compared=("rmse",),
    conclusions=tuple(Conclusion(f"{name}, lowest test RMSE", partial(_lowest, name), "ratio") for name in _KANS),
    plan=plan,
    measure=measure,
    show=show,
    summary=summary,
)
