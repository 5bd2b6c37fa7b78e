"""Tables 1 and 2: the plans, the tables, and what they say of outcomes."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.paper.experiment import Experiment, Number, Outcome, Run
from benchmarks.paper.experiments import feynman, special
from benchmarks.paper.fits.beside import SAME_SIZE, SAME_TIME
from benchmarks.paper.functions.feynman import EQUATIONS
from benchmarks.paper.functions.special import SPECIALS
from training.threads import torch_threads

NAMES = {
    "special": [each.target.name for each in SPECIALS],
    "feynman": [each.target.name for each in EQUATIONS],
}
EXPERIMENTS = pytest.mark.parametrize(
    "experiment", [special.EXPERIMENT, feynman.EXPERIMENT], ids=lambda experiment: experiment.name
)


def _outcome(run: Run, errors: Mapping[str, float], best: str) -> Outcome:
    numbers: dict[str, Number] = {"scale": 0.5, "best": best, **errors}
    return Outcome(run, numbers, 1.0, "2026-11-27")


@EXPERIMENTS
def test_the_plan_is_balanced(experiment: Experiment) -> None:
    """Every function once for each of three seeds, seed after seed."""
    runs = experiment.plan(False)
    assert [(run.seed, run.case) for run in runs] == [
        (seed, name) for seed in range(4) for name in NAMES[experiment.name]
    ]
    assert set(experiment.plan(True)) <= set(runs)


@EXPERIMENTS
def test_nothing_is_shown_of_nothing(experiment: Experiment, tmp_path: Path) -> None:
    """Without outcomes there is no table and no sentence."""
    assert experiment.show([], tmp_path) is None
    assert experiment.summary([]) == ""


def test_table_1(tmp_path: Path) -> None:
    """Medians over the seeds are compared with the paper's number and with both MLPs."""
    run = special.EXPERIMENT.plan(False)[0]
    assert SPECIALS[0].kan == 1.33e-4
    outcomes = [
        _outcome(Run(run.case, run.contender, seed), {"kan": error, SAME_SIZE: 1e-3, SAME_TIME: 2e-4}, "kan")
        for seed, error in enumerate((1e-3, 1.2e-4, 1e-5))
    ]
    shown = special.EXPERIMENT.show(outcomes, tmp_path)
    assert shown is not None
    assert "1.2e-04 (1.0e-05 to 1.0e-03)" in shown
    assert "2.4e-04" in shown
    summary = special.EXPERIMENT.summary(outcomes)
    assert "on 1 of 1 functions" in summary
    assert "below both MLPs on 1." in summary
    assert "lower on ellipj (sn)" in special.EXPERIMENT.summary(outcomes[:1])


def test_table_2(tmp_path: Path) -> None:
    """The best KAN is that of validation, not the one with the lowest test error."""
    run = feynman.EXPERIMENT.plan(False)[0]
    assert EQUATIONS[0].paper_kan == 2.86e-5
    errors = {"formula": 2.86e-5, "plain": 1e-9, "products": 1e-3, SAME_SIZE: 1e-4, SAME_TIME: 1e-4}
    outcomes = [_outcome(Run(run.case, run.contender, seed), errors, "formula") for seed in range(3)]
    summary = feynman.EXPERIMENT.summary(outcomes)
    assert "is 1 over 1 equations" in summary
    assert "with products is the lowest of the three on 0." in summary
    shown = feynman.EXPERIMENT.show(outcomes, tmp_path)
    assert shown is not None
    assert "-1 to 1, 0.5 to 2" in shown


@EXPERIMENTS
@pytest.mark.slow
def test_a_quick_run_is_made(experiment: Experiment, tmp_path: Path) -> None:
    """Its numbers are those that the table reads."""
    run = experiment.plan(True)[0]
    with torch_threads(1):
        numbers = experiment.measure(run, True)
    assert experiment.show([Outcome(run, numbers, 1.0, "2026-11-27")], tmp_path) is not None
