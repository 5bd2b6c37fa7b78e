"""Five peaks, one after another (:mod:`benchmarks.paper.five_peaks`), as an experiment."""

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Experiment, Number, Outcome, Run
from benchmarks.paper.five_peaks import MLP_PLAN, PEAKS, five_peaks, mlp_of_equal_time, target
from benchmarks.paper.medians import numbers, spread
from benchmarks.paper.outcomes import by_contender

_CASE, _BOTH = "five peaks", "KAN [1,1] and an MLP of equal parameters"
_SAME_TIME = "MLP, equal parameters and CPU time"
_SEEDS = range(10)
_PARTS = ("newest", "seen", "all_peaks")


def plan(quick: bool) -> Sequence[Run]:
    """Both networks, and an MLP of the KAN's processor time, from each seed of the MLP."""
    return [Run(_CASE, name, seed) for seed in _SEEDS[: 1 if quick else None] for name in (_BOTH, _SAME_TIME)]


def measure(run: Run, quick: bool) -> Mapping[str, Number]:
    """Errors after each peak: lists with a number for each phase."""
    if run.contender == _SAME_TIME:
        timed = mlp_of_equal_time(run.seed)
        each: dict[str, Number] = {"mlp_parameters": timed.parameters}
        each |= {f"mlp_{part}": [float(getattr(errors, part)) for errors in timed.errors] for part in _PARTS}
        return each | {"kan_seconds": list(timed.kan_seconds), "seconds": list(timed.seconds)}
    found = five_peaks(seed=run.seed, mlp_steps=10 if quick else MLP_PLAN.steps)
    each = {"kan_parameters": found.kan_parameters, "mlp_parameters": found.mlp_parameters}
    for name in ("kan", "mlp"):
        for part in _PARTS:
            each[f"{name}_{part}"] = [float(getattr(getattr(phase, name), part)) for phase in found.phases]
    return each


def show(outcomes: Sequence[Outcome], _pictures: Path) -> str | None:
    """Errors over the newest peak and over all shown so far, after each peak."""
    contenders = _contenders(outcomes)
    if not contenders:
        return None
    rows = [["peaks", "", "parameters", "RMSE, newest peak", "RMSE, all shown", "RMSE / std(y), all shown"]]
    deviation = float(target(torch.linspace(-1, 1, 10_001, dtype=torch.float64)).std())
    for phase in range(PEAKS):
        for label, name, some in contenders:
            newest, seen = ([numbers(one, f"{name}_{part}")[phase] for one in some] for part in _PARTS[:2])
            relative = [error / deviation for error in seen]
            parameters = str(some[0].numbers[f"{name}_parameters"])
            rows.append([str(phase + 1), label, parameters, spread(newest), spread(seen), spread(relative)])
    return f"{render(rows)}\n{_note(outcomes)}\n"


def summary(outcomes: Sequence[Outcome]) -> str:
    """What is left of all peaks at the end."""
    left = {
        label: statistics.median(numbers(one, f"{name}_seen")[-1] for one in some)
        for label, name, some in _contenders(outcomes)
    }
    if not left:
        return ""
    told = "; ".join(f"{label}: {error:.1e}" for label, error in left.items())
    return f"Error over all five peaks at the end: {told}."


def _contenders(outcomes: Sequence[Outcome]) -> list[tuple[str, str, list[Outcome]]]:
    """Label, name in the numbers, and outcomes of each network."""
    found = by_contender(outcomes, _CASE)
    places = (
        ("KAN [1,1]", "kan", _BOTH),
        ("MLP, equal parameters, ten times the iterations", "mlp", _BOTH),
        (_SAME_TIME, "mlp", _SAME_TIME),
    )
    return [(label, name, found[run]) for label, name, run in places if run in found]


def _note(outcomes: Sequence[Outcome]) -> str:
    note = (
        "The curve has height 1. All networks are trained by LBFGS; one MLP gets ten times as many iterations as the "
        "KAN, because with fewer it does not meet the newest peak."
    )
    timed = by_contender(outcomes, _CASE).get(_SAME_TIME)
    if not timed:
        return note
    kan, mlp = (statistics.median(sum(numbers(one, name)) for one in timed) for name in ("kan_seconds", "seconds"))
    return (
        f"{note} The other one gets, peak by peak, the CPU time of the KAN, which is trained once more just before it: "
        f"{kan:.2f} s the KAN and {mlp:.2f} s the MLP for five peaks."
    )


def _at_the_end(name: str, outcome: Outcome) -> float | None:
    """The last error of the run of both networks."""
    return numbers(outcome, name)[-1] if outcome.run.contender == _BOTH else None


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
        Conclusion("KAN, test RMSE over all five peaks", partial(_at_the_end, "kan_seen"), "ratio"),
        Conclusion("MLP, likewise", partial(_at_the_end, "mlp_seen"), "ratio"),
    ),
    plan=plan,
    measure=measure,
    show=show,
    summary=summary,
)
