"""Conclusions of experiments, and whether those of a fresh seed lie within the spread."""

import math

import numpy as np
import pytest
from scipy.stats import t

from benchmarks.paper.conclusions import Verdict, conclude, show_verdicts, spread_of
from benchmarks.paper.experiment import Conclusion, Experiment, Outcome, Run
from benchmarks.paper.experiments import EXPERIMENTS
from benchmarks.paper.medians import number
from benchmarks.paper.outcomes import MEASURED, Outcomes


def _experiment(*conclusions: Conclusion) -> Experiment:
    return Experiment(
        "example",
        "Example",
        "It holds.",
        1,
        ("rmse",),
        conclusions,
        lambda _: [],
        lambda _run, _quick: {},
        lambda _outcomes, _pictures: None,
        lambda _outcomes: "",
    )


def _outcomes(case: str, *values: float, first_seed: int = 0) -> list[Outcome]:
    return [
        Outcome(Run(case, "KAN", first_seed + place), {"rmse": value}, 1.0, "2026-11-28")
        for place, value in enumerate(values)
    ]


_RMSE = Conclusion("RMSE", lambda outcome: number(outcome, "rmse"), "ratio")


@pytest.mark.parametrize(("cells", "seeds"), [(1, 3), (5, 3), (20, 4)])
def test_the_spread_holds_the_share_that_it_names(cells: int, seeds: int) -> None:
    """Of normal numbers whose cells differ in mean and deviation by up to a factor of 3; 1,200 draws."""
    random = np.random.default_rng(0)
    middles, deviations = random.normal(0, 5, (cells, 1)), random.uniform(1, 3, (cells, 1))
    inside = 0
    for _ in range(1200):
        draws = middles + deviations * random.normal(size=(cells, seeds + 1))
        low, high = spread_of(draws[:, :-1].tolist(), 0.05)
        inside += low <= draws[:, -1].mean() <= high
    assert inside / 1200 == pytest.approx(0.95, abs=0.02)


def test_the_spread_of_one_cell_is_that_of_students_t() -> None:
    """Mean ± t · s · √(1 + 1/n) with n − 1 degrees of freedom."""
    low, high = spread_of([[1.0, 2.0, 4.0]], 0.01)
    half = t.ppf(0.995, 2) * np.std([1, 2, 4], ddof=1) * math.sqrt(4 / 3)
    assert (low, high) == pytest.approx((7 / 3 - half, 7 / 3 + half))


@pytest.mark.parametrize("probability", [0.05, 0.5, 0.9])
def test_the_spread_of_a_share_holds_at_least_the_share_that_it_names(probability: float) -> None:
    """Of 15 cells with four results each; equal results do not make it a point."""
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(600):
        draws = (random.random((15, 5)) < probability).astype(float)
        low, high = spread_of(draws[:, :-1].tolist(), 0.05, is_share=True)
        inside += low <= draws[:, -1].mean() <= high
    assert inside / 600 >= 0.94
    low, high = spread_of([[1.0, 1.0, 1.0]] * 4, 0.05, is_share=True)
    assert low < 1
    assert high == 1


def test_equal_numbers_have_a_point_as_spread() -> None:
    """What is computed without chance comes out again, to rounding."""
    experiment = _experiment(_RMSE)
    (verdict,) = conclude([(experiment, _outcomes("a", 0.1, 0.1, 0.1), _outcomes("a", 0.1, first_seed=3))])
    assert verdict.is_inside
    (verdict,) = conclude([(experiment, _outcomes("a", 0.1, 0.1, 0.1), _outcomes("a", 0.11, first_seed=3))])
    assert not verdict.is_inside


def test_a_ratio_is_averaged_by_its_logarithm() -> None:
    """The geometric mean of the cells."""
    outcomes = [*_outcomes("a", 1e-2, 1e-4), *_outcomes("b", 1e-5, 1e-7)]
    fresh = [*_outcomes("a", 1e-3, first_seed=2), *_outcomes("b", 1e-7, first_seed=2)]
    (verdict,) = conclude([(_experiment(_RMSE), outcomes, fresh)])
    assert verdict.value == pytest.approx(10**-4.5)
    assert verdict.fresh == pytest.approx(1e-5)
    assert verdict.low * verdict.high == pytest.approx(verdict.value**2)


def test_more_conclusions_widen_the_spreads() -> None:
    """So that all of them lie within with 95 %."""
    outcomes, fresh = _outcomes("a", 1.0, 2.0, 3.0), _outcomes("a", 2.0, first_seed=3)
    (alone,) = conclude([(_experiment(_RMSE), outcomes, fresh)])
    first, second = conclude([(_experiment(_RMSE, _RMSE), outcomes, fresh)])
    assert first == second
    assert first.low < alone.low
    assert alone.high < first.high


def test_a_fresh_seed_that_lacks_a_cell_has_no_verdict() -> None:
    """Its mean would be that of other cases."""
    outcomes = [*_outcomes("a", 1.0, 2.0), *_outcomes("b", 1.0, 2.0)]
    (verdict,) = conclude([(_experiment(_RMSE), outcomes, _outcomes("a", 1.0, first_seed=2))])
    assert verdict.fresh is None
    assert not verdict.is_inside
    assert show_verdicts([verdict]) == ""


def test_runs_that_are_no_part_of_a_conclusion_are_left_out() -> None:
    """A conclusion about KANs does not see MLPs."""
    only = Conclusion("a", lambda outcome: number(outcome, "rmse") if outcome.run.case == "a" else None)
    outcomes = [*_outcomes("a", 1.0, 3.0), *_outcomes("b", 50.0)]
    (verdict,) = conclude([(_experiment(only), outcomes, [])])
    assert verdict.value == 2


def test_cases_that_share_their_rows_count_as_one() -> None:
    """The mean over these cases is one number for each seed: four copies of a case say no more than one."""
    outcomes, fresh = _outcomes("a", 1.0, 2.0, 3.0), _outcomes("a", 2.0, first_seed=3)
    copies, more = (
        [
            Outcome(Run(f"a {copy}", "KAN", one.run.seed), one.numbers, 1.0, one.date)
            for copy in range(4)
            for one in some
        ]
        for some in (outcomes, fresh)
    )
    together = Conclusion("RMSE", _RMSE.of, "ratio", lambda run: run.case[0])
    (one,), (four,) = (
        conclude([(_experiment(conclusion), *runs)])
        for conclusion, runs in ((_RMSE, (outcomes, fresh)), (together, (copies, more)))
    )
    assert four == one


def test_the_section_counts_and_marks() -> None:
    """The number inside stands before the table; a conclusion outside is marked, one without a fresh seed is told."""
    inside = Verdict("A", "one", (3, 3), 1.0, 0.5, 2.0, 1.5)
    outside = Verdict("B", "two", (3, 4), 1.0, 0.5, 2.0, 2.5)
    text = show_verdicts([inside, outside, Verdict("C", "three", (3, 3), 1.0, 0.5, 2.0, None)])
    assert "1 of 2 conclusions" in text
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    assert [row[-1] for row in rows[2:]] == ["yes", "**no**", "not run"]
    assert [row[2] for row in rows[2:]] == ["3", "3 to 4", "3"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_each_experiment_concludes_something_from_its_results(name: str) -> None:
    """Each conclusion has a finite number from the committed results."""
    experiment = EXPERIMENTS[name]
    verdicts = conclude([(experiment, Outcomes(MEASURED / f"{name}.json", experiment).load(), [])])
    assert [verdict.name for verdict in verdicts] == [conclusion.name for conclusion in experiment.conclusions]
    assert verdicts
    assert all(math.isfinite(verdict.value) for verdict in verdicts)
    assert all(verdict.low <= verdict.value <= verdict.high for verdict in verdicts)
