"""Grid extension (:mod:`benchmarks.paper.staircase`) as an experiment: exp(sin(πx) + y²) on finer and finer grids."""

import statistics
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Experiment, Number, Outcome, Run
from benchmarks.paper.fits.mlp import equal_seconds
from benchmarks.paper.fits.points import points_of
from benchmarks.paper.functions.toy import TOYS
from benchmarks.paper.medians import cpu_seconds, numbers, spread
from benchmarks.paper.outcomes import by_contender
from benchmarks.paper.staircase import GRIDS, OUR_STEPS, WIDTH, ours, points
from kan_model import KAN, KANConfig, parameter_count
from training.data.samples import Samples
from training.fitting.baseline import mlp_like
from training.fitting.fit import fit_module
from training.recipe.fit_sections import FitSection

_CASE = "exp(sin(πx) + y²)"
_KANS = {"KAN [2,5,1]": WIDTH, "KAN [2,1,1]": (2, 1, 1)}
# By contender: the KAN whose parameters the MLP has, and its grid of the lowest error.
_SAME_SIZE = {
    "MLP, parameters of [2,5,1] at G = 20": ("KAN [2,5,1]", 20),
    "MLP, parameters of [2,1,1] at G = 50": ("KAN [2,1,1]", 50),
}
# By contender: the KAN whose processor time the MLP gets.
_SAME_TIME = {f"MLP, CPU time of {name.removeprefix('KAN ')}": name for name in _KANS}
_MLP_STEPS = 300
# Of the KANs and the first MLP, and of the MLPs that came later.
_SEEDS, _LATER_SEEDS = range(10), range(4)


def plan(quick: bool) -> Sequence[Run]:
    """Two KANs, and for each an MLP of its parameters and one of its processor time, from each seed."""
    older = (*_KANS, next(iter(_SAME_SIZE)))
    return [
        Run(_CASE, name, seed)
        for seed in _SEEDS[: 1 if quick else None]
        for name in (*_KANS, *_SAME_SIZE, *_SAME_TIME)
        if name in older or seed in _LATER_SEEDS
    ]


def measure(run: Run, quick: bool) -> Mapping[str, Number]:
    """Test errors of a KAN after each grid, or of an MLP at its end, also as shares of the deviation."""
    test = points(3 * run.seed + 2)
    deviation = float(test[1].std())
    more: Mapping[str, Number] = {}
    if run.contender in _KANS:
        width, grids = _KANS[run.contender], GRIDS[: 2 if quick else None]
        errors = list(ours(run.seed, width, grids, 3 if quick else OUR_STEPS).rmse)
        counts = [float(parameter_count(KAN(KANConfig(width, grid_size=grid_size)))) for grid_size in grids]
    elif run.contender in _SAME_TIME:
        error, count, more = _mlp_of_equal_time(_KANS[_SAME_TIME[run.contender]], run.seed, quick)
        counts, errors = [count], [error]
    else:
        name, grid_size = _SAME_SIZE[run.contender]
        kan = KAN(KANConfig(_KANS[name], grid_size=grid_size), dtype=torch.float64)
        network = mlp_like(kan, 2, seed=run.seed)
        train, validation = (Samples(*points(3 * run.seed + part)) for part in range(2))
        steps = FitSection(optimizer="levenberg-marquardt", steps=2 if quick else _MLP_STEPS)
        network = fit_module(network, train, validation, steps, "regression").best
        counts = [float(parameter_count(network))]
        with torch.no_grad():
            errors = [float((network(test[0]) - test[1]).square().mean().sqrt())]
    return {"rmse": errors, "relative": [each / deviation for each in errors], "parameters": counts, **more}


def _mlp_of_equal_time(width: tuple[int, ...], seed: int, quick: bool) -> tuple[float, float, Mapping[str, Number]]:
    """Test error, parameters and seconds of an MLP that gets the time of a KAN, which is fitted again just before it.

    Its points are those of the KAN: the same draws of the same function.
    """
    kan_seconds = ours(seed, width, GRIDS[: 2 if quick else None], 3 if quick else OUR_STEPS).cpu_seconds
    same = points_of(TOYS[1], seed, 1000, 1000)
    began = time.process_time()
    mlp = equal_seconds(same, kan_seconds, seed)
    seconds = time.process_time() - began
    return same.scale * mlp.test, float(mlp.parameters), {"kan_seconds": kan_seconds, "seconds": seconds}


def show(outcomes: Sequence[Outcome], _pictures: Path) -> str | None:
    """The errors on each grid."""
    found = by_contender(outcomes, _CASE)
    if not found.keys() >= _KANS.keys():
        return None
    rows = [["", "parameters", "test RMSE", "RMSE / std(y)", "CPU s"]]
    for name in (name for name in (*_KANS, *_SAME_SIZE, *_SAME_TIME) if name in found):
        some = found[name]
        for place in range(min(len(numbers(one, "rmse")) for one in some)):
            label = f"{name}, G = {GRIDS[place]}" if name in _KANS else name
            cells = [spread([numbers(one, key)[place] for one in some]) for key in ("rmse", "relative")]
            count = statistics.median(numbers(one, "parameters")[place] for one in some)
            rows.append([label, f"{count:.0f}", *cells, cpu_seconds(some)])
    note = (
        "1,000 rows to learn from, 1,000 to choose by and 1,000 to judge by. CPU s are those of the whole run, of a "
        "KAN with all grids. An MLP of a KAN's parameters has two hidden layers. An MLP of a KAN's CPU time is trained "
        "right after that KAN was trained once more; the table has both times. Half of the time goes to six MLPs of at "
        "most 700 parameters, the rest to the best of them by validation. Every network is trained by "
        "Levenberg–Marquardt; pykan's, by LBFGS, reached 3.5e-5 in 280 CPU seconds from one seed (`python -m "
        "benchmarks.paper.staircase` measures both)."
    )
    return f"{render(rows)}\n{note}\n"


def summary(outcomes: Sequence[Outcome]) -> str:
    """The lowest errors, and whether an MLP of a KAN's parameters or time is lower than this KAN."""
    found = by_contender(outcomes, _CASE)
    if not found.keys() >= {*_KANS, *_SAME_SIZE, *_SAME_TIME}:
        return ""
    best = {name: statistics.median(min(numbers(one, "rmse")) for one in some) for name, some in found.items()}
    beside = {mlp: kan for mlp, (kan, _) in _SAME_SIZE.items()} | _SAME_TIME
    lost = [f"{mlp} is lower than {kan}" for mlp, kan in beside.items() if best[mlp] <= best[kan]]
    told = ", ".join(f"{name} {best[name]:.1e}" for name in (*_KANS, *beside))
    verdict = "; ".join(lost) if lost else "Each KAN is lower than both MLPs beside it"
    return f"Lowest test RMSE, of a KAN that of its best grid: {told}. {verdict}."


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
