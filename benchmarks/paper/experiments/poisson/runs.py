"""The runs of the experiment, and what they show."""

import statistics
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Experiment, Number, Outcome, Run
from benchmarks.paper.experiments.poisson import kan, mlp
from benchmarks.paper.experiments.poisson.equal_time import solve_in_time
from benchmarks.paper.experiments.poisson.problem import Points, judging_points, points, solution
from benchmarks.paper.medians import column, cpu_seconds, number, numbers, spread
from benchmarks.paper.outcomes import by_contender

# On the first grid each of the starts gets its steps.
GRIDS, STEPS, STARTS = (5, 10, 20), (30, 140, 50), 4
SEEDS = range(4)
# More points move no digit that matters, and the errors are measured on 10,201 others.
INTERIOR, BOUNDARY = 2500, 800
# The grid whose network the MLPs are compared with: 420 parameters.
COMPARED = 10
_COMPARED_PARAMETERS = 420
_KAN = "KAN [2,10,1]"
# By contender: times the parameters of the KAN, and CPU seconds; after 60 s the large one is far from its best.
_MLPS = {"MLP, 100 × the parameters": (100, 600.0), "MLP, equal parameters": (1, 60.0)}
# Stored under these names; shown with what they got.
_LABELS = {
    "MLP, 100 × the parameters": "MLP, 100 × the parameters, LBFGS, 600 CPU s",
    "MLP, equal parameters": "MLP, equal parameters, LBFGS, 60 CPU s",
}
_SAME_TIME = "MLP, equal CPU time"
# Points of another seed judge which KAN is kept, and which MLP of equal time.
_JUDGING_SEED = 1000
_SHOWN = ("parameters", "mse", "l2", "h1")
_CASE = "sin(πx) sin(πy²)"


def plan(quick: bool) -> Sequence[Run]:
    """Each contender from each seed."""
    return [Run(_CASE, name, seed) for seed in SEEDS[: 1 if quick else None] for name in (_KAN, *_MLPS, _SAME_TIME)]


def measure(run: Run, quick: bool) -> Mapping[str, Number]:
    """Solve the equation once: a list with a number for each grid, or one number of an MLP.

    The MLP of equal time gets the seconds of the KAN on all grids, which is solved again just before it.
    """
    sizes = (300, 80) if quick else (INTERIOR, BOUNDARY)
    given = points(run.seed, *sizes)
    if run.contender in (_KAN, _SAME_TIME):
        grids, steps, starts = (GRIDS[:2], (4, 4), 2) if quick else (GRIDS, STEPS, STARTS)
        judging = points(_JUDGING_SEED + run.seed, *sizes)
        stages = kan.solve(given, judging, run.seed, grids, steps, starts)
        if run.contender == _SAME_TIME:
            return _in_time(given, judging, run.seed, stages[-1].cpu_seconds)
        each = [stage.numbers() for stage in stages]
        found: dict[str, Number] = {name: [one[name] for one in each] for name in each[0]}
        return found | {"steps": [float(stage.steps) for stage in stages]}
    times, seconds = _MLPS[run.contender]
    network, iterations = mlp.solve(given, times * _COMPARED_PARAMETERS, run.seed, 1.0 if quick else seconds)
    return {**mlp.numbers(network), "iterations": iterations}


def _in_time(given: Points, judging: Points, seed: int, kan_seconds: float) -> Mapping[str, Number]:
    began = time.process_time()
    network = solve_in_time(given, judging, _COMPARED_PARAMETERS, seed, kan_seconds)
    seconds = time.process_time() - began
    return {**mlp.numbers(network), "kan_seconds": kan_seconds, "seconds": seconds}


def show(outcomes: Sequence[Outcome], _pictures: Path) -> str | None:
    """The table of errors."""
    found = by_contender(outcomes, _CASE)
    if _KAN not in found:
        return None
    head = ["", "parameters", "MSE of u", "L2 of u", "L2 / std(u)", "H1 of u", "CPU s"]
    rows = []
    for place, grid_size in enumerate(GRIDS):
        if all(len(numbers(one, "mse")) > place for one in found[_KAN]):
            each = {name: [numbers(one, name)[place] for one in found[_KAN]] for name in (*_SHOWN, "cpu_seconds")}
            rows.append([f"{_KAN}, G = {grid_size}", *_cells(each), f"{statistics.median(each['cpu_seconds']):.3g}"])
    for name in (name for name in (*_MLPS, _SAME_TIME) if name in found):
        each = {key: column(found[name], key) for key in _SHOWN}
        rows.append([_LABELS.get(name, name), *_cells(each), cpu_seconds(found[name])])
    paper = "(P): 1e-7 MSE by a KAN of width 10 with about 100 parameters, 1e-5 by an MLP of 1e4."
    loss = f"{INTERIOR:,} points in the square, {BOUNDARY} on the boundary; errors on a grid of 101 × 101 points."
    fitting = (
        f"{STARTS} KANs, whose splines decay beyond their domains, are trained on the first grid, {STEPS[0]} steps "
        "each, and the best one goes on; its time is that of all. On each grid the network of the lowest loss on other "
        "points is kept, where the solution is not known."
    )
    timed = (
        "*MLP, equal CPU time* gets the time of the KAN on all grids, which is solved again just before it. Half of "
        "the time goes to four MLPs, of 417 and 837 parameters by Levenberg–Marquardt, as the KAN, and of 1,737 and "
        "6,609 by LBFGS; the rest to the one of the lowest loss on other points."
    )
    seeds = f"Seeds: {', '.join(str(one.run.seed) for one in found[_KAN])}."
    return f"{render([head, *rows])}\n\n{paper} {loss} {fitting} {timed} {seeds}\n"


def summary(outcomes: Sequence[Outcome]) -> str:
    """Whether the KAN's errors are below those of the large MLP."""
    found = by_contender(outcomes, _CASE)
    large = next(iter(_MLPS))
    if _KAN not in found or large not in found:
        return ""
    parts = []
    for name, shown in (("l2", "L2"), ("h1", "H1")):
        place = GRIDS.index(COMPARED)
        ours = {one.run.seed: numbers(one, name)[place] for one in found[_KAN]}
        theirs = {one.run.seed: number(one, name) for one in found[large]}
        kan, mlp = statistics.median(ours.values()), statistics.median(theirs.values())
        pairs = [ours[seed] < theirs[seed] for seed in ours.keys() & theirs.keys()]
        verdict = "below" if kan < mlp else "above"
        parts.append(f"{shown} {kan:.1e} ({verdict} {mlp:.1e}; lower with {sum(pairs)} of {len(pairs)} seeds)")
    finest = statistics.median(numbers(one, "mse")[-1] for one in found[_KAN])
    seconds = statistics.median(numbers(one, "cpu_seconds")[-1] for one in found[_KAN])
    return (
        f"The KAN of {_COMPARED_PARAMETERS} parameters has {' and '.join(parts)} beside an MLP of 100 times its "
        f"parameters; on the finest grid its mean squared error is {finest:.1e} after {seconds:.0f} CPU seconds."
        f"{_at_equal_time(found, finest)}"
    )


def _at_equal_time(found: Mapping[str, Sequence[Outcome]], finest: float) -> str:
    """The MLP of the KAN's processor time beside the KAN on its finest grid, as a sentence with a space before it."""
    if _SAME_TIME not in found:
        return ""
    timed = found[_SAME_TIME]
    error, parameters = (statistics.median(column(timed, name)) for name in ("mse", "parameters"))
    kan = {one.run.seed: numbers(one, "mse")[-1] for one in found[_KAN]}
    pairs = [number(one, "mse") < kan[one.run.seed] for one in timed if one.run.seed in kan]
    verdict = "below" if error < finest else "not below"
    return (
        f" An MLP of {parameters:,.0f} parameters that gets as much CPU time has {error:.1e} ({verdict} the KAN on its "
        f"finest grid; lower with {sum(pairs)} of {len(pairs)} seeds)."
    )


def _cells(found: Mapping[str, Sequence[float]]) -> list[str]:
    relative = [error / float(solution(judging_points()).std()) for error in found["l2"]]
    errors = (found["mse"], found["l2"], relative, found["h1"])
    return [f"{statistics.median(found['parameters']):,.0f}", *map(spread, errors)]


def _compared(name: str, outcome: Outcome) -> float | None:
    """An error of the KAN on the grid that is compared with the MLPs."""
    return numbers(outcome, name)[GRIDS.index(COMPARED)] if outcome.run.contender == _KAN else None


EXPERIMENT = Experiment(
    name="poisson",
    title="A differential equation: Poisson on a square",
    claim=(
        "Section 3.4: with the loss of a physics-informed network a KAN [2,10,1] solves Poisson's equation a hundred "
        "times as exactly as an MLP of four layers and width 100, with a hundredth of its parameters."
    ),
    revision=1,
    compared=("l2", "h1"),
    conclusions=tuple(
        Conclusion(f"{shown} of the KAN, {_COMPARED_PARAMETERS} parameters", partial(_compared, name), "ratio")
        for name, shown in (("l2", "L2"), ("h1", "H1"))
    ),
    plan=plan,
    measure=measure,
    show=show,
    summary=summary,
)
