"""Formulas from samples without noise (:mod:`benchmarks.paper.symbolic_recovery`) as an experiment."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Experiment, Number, Outcome, Run
from benchmarks.paper.medians import number
from benchmarks.paper.symbolic_recovery import PROBLEMS, recover

_EXACT = 1e-3
_SEEDS = range(10)


def plan(quick: bool) -> Sequence[Run]:
    """Each problem from each seed of the points; a search over three starts of the network is one run."""
    return [
        Run(problem.name, f"KAN {list(problem.width)}", seed)
        for seed in _SEEDS[: 1 if quick else None]
        for problem in PROBLEMS[: 1 if quick else None]
    ]


def measure(run: Run, quick: bool) -> Mapping[str, Number]:
    """The formula, and the largest error of it and the error of the splines as shares of the range."""
    problem = next(each for each in PROBLEMS if each.name == run.case)
    found = recover(problem, quick, run.seed)
    return {"formula": found.formula, "max_error": found.max_error, "spline_error": found.spline_error}


def show(outcomes: Sequence[Outcome], _pictures: Path) -> str | None:
    """A row for each problem and seed."""
    if not outcomes:
        return None
    head = [
        "truth",
        "network",
        "seed",
        "formula found",
        "largest error / range",
        "RMSE of the splines / range",
        "CPU s",
    ]
    rows = [head]
    for one in sorted(outcomes, key=lambda each: (each.run.case, each.run.seed)):
        errors = [f"{number(one, name):.1e}" for name in ("max_error", "spline_error")]
        formula = f"`{one.numbers['formula']}`"
        rows.append([one.run.case, one.run.contender, str(one.run.seed), formula, *errors, f"{one.cpu_seconds:.0f}"])
    return f"{render(rows)}\nThere is no MLP beside: it gives no formula.\n"


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many formulas equal the truth."""
    good = sum(number(one, "max_error") <= _EXACT for one in outcomes)
    return f"{good} of {len(outcomes)} formulas found from samples equal the truth within {_EXACT:g} of its range."


EXPERIMENT = Experiment(
    name="recovery",
    title="Formulas from samples",
    claim=(
        "Sections 2.5.1 and 3.1: exp(sin(πx) + y²) is read off a [2,1,1] KAN and xy off a [2,2,1] one. Three seeds are "
        "trained; the best one becomes a formula."
    ),
    revision=1,
    compared=("spline_error", "max_error"),
    conclusions=(
        Conclusion(
            "share of formulas that equal the truth", lambda outcome: number(outcome, "max_error") <= _EXACT, "share"
        ),
    ),
    plan=plan,
    measure=measure,
    show=show,
    summary=summary,
)
