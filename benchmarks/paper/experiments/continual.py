"""Five peaks, one after another (:mod:`benchmarks.paper.five_peaks`), as an experiment."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Experiment, Number, Outcome, Run
from benchmarks.paper.five_peaks import MLP_PLAN, PEAKS, five_peaks
from benchmarks.paper.medians import numbers, spread

_CASE, _CONTENDER = "five peaks", "KAN [1,1] and an MLP of equal parameters"
_SEEDS = range(10)


def plan(quick: bool) -> Sequence[Run]:
    """Both networks, from each seed of the MLP."""
    return [Run(_CASE, _CONTENDER, seed) for seed in _SEEDS[: 1 if quick else None]]


def measure(run: Run, quick: bool) -> Mapping[str, Number]:
    """Errors after each peak: lists with a number for each phase."""
    found = five_peaks(seed=run.seed, mlp_steps=10 if quick else MLP_PLAN.steps)
    each: dict[str, Number] = {"kan_parameters": found.kan_parameters, "mlp_parameters": found.mlp_parameters}
    for name in ("kan", "mlp"):
        for part in ("newest", "seen", "all_peaks"):
            each[f"{name}_{part}"] = [float(getattr(getattr(phase, name), part)) for phase in found.phases]
    return each


def show(outcomes: Sequence[Outcome], _pictures: Path) -> str | None:
    """Errors over the newest peak and over all shown so far, after each peak."""
    if not outcomes:
        return None
    first = outcomes[0].numbers
    columns = [
        (f"{label} of {first[f'{name}_parameters']} parameters, {shown}", f"{name}_{part}")
        for name, label in (("kan", "KAN"), ("mlp", "MLP"))
        for part, shown in (("newest", "newest peak"), ("seen", "all shown"))
    ]
    rows = [["peaks", *(label for label, _ in columns)]]
    rows += [
        [str(phase + 1), *(spread([numbers(one, key)[phase] for one in outcomes]) for _, key in columns)]
        for phase in range(PEAKS)
    ]
    note = "Test RMSE; the curve has height 1. The MLP gets ten times as many LBFGS iterations as the KAN."
    return f"{render(rows)}\n{note}\n"


def summary(outcomes: Sequence[Outcome]) -> str:
    """What is left of all peaks at the end."""
    kan, mlp = (statistics.median(numbers(one, f"{name}_seen")[-1] for one in outcomes) for name in ("kan", "mlp"))
    return f"After five peaks the KAN's error over all of them is {kan:.1e}, that of an MLP of its size {mlp:.1e}."


EXPERIMENT = Experiment(
    name="continual",
    title="Learning on without forgetting",
    claim=(
        "Figure 3.4: a KAN that is shown one of five Gaussian peaks after another keeps those before, because a spline "
        "changes only where data are; an MLP forgets them."
    ),
    revision=1,
    compared=("kan_seen", "mlp_seen"),
    conclusions=(
        Conclusion("KAN, test RMSE over all five peaks", lambda outcome: numbers(outcome, "kan_seen")[-1], "ratio"),
        Conclusion("MLP, likewise", lambda outcome: numbers(outcome, "mlp_seen")[-1], "ratio"),
    ),
    plan=plan,
    measure=measure,
    show=show,
    summary=summary,
)
