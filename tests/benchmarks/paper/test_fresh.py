"""A fresh seed beside the seeds of the plan."""

import math

import numpy as np
import pytest

from benchmarks.paper import __main__ as command
from benchmarks.paper.experiment import Experiment, Outcome, Run
from benchmarks.paper.experiments import EXPERIMENTS
from benchmarks.paper.fresh import Comparison, compare, fresh_runs, spread_of, told, told_together


def _experiment(compared: tuple[str, ...] = ("rmse",)) -> Experiment:
    return Experiment(
        "example",
        "Example",
        "It holds.",
        1,
        compared,
        (),
        lambda _: [Run(case, "KAN", seed) for seed in range(3) for case in ("a", "b")],
        lambda _run, _quick: {},
        lambda _outcomes, _pictures: None,
        lambda _outcomes: "",
    )


def _outcome(seed: int, case: str = "a", **numbers: float | list[float]) -> Outcome:
    return Outcome(Run(case, "KAN", seed), numbers, 1.0, "2026-11-28")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_fresh_seed_is_none_of_the_plan(name: str) -> None:
    """Each case and contender has one run more, of a seed that no run of the plan has."""
    experiment = EXPERIMENTS[name]
    plan, fresh = experiment.plan(False), fresh_runs(experiment)
    assert {(run.case, run.contender) for run in plan} == {(run.case, run.contender) for run in fresh}
    assert len({run.seed for run in plan}) >= 3
    assert not {run.seed for run in plan} & {run.seed for run in fresh}


def test_the_spread_holds_95_of_100_fresh_seeds() -> None:
    """Of errors whose logarithms are normal; the sample of 4,000 has a deviation of 0.35 points."""
    draws = np.exp(np.random.default_rng(0).normal(-9, 1.7, (4000, 4)))
    inside = 0
    for *others, fresh in draws.tolist():
        low, high = spread_of(others)
        inside += low <= fresh <= high
    assert inside / len(draws) == pytest.approx(0.95, abs=0.015)


def test_the_spread_of_three_is_five_deviations() -> None:
    """Student's t for two degrees of freedom is 4.303 (tables); numbers with a zero are taken as they are."""
    low, high = spread_of([0.0, 1.0, 2.0])
    assert (low, high) == pytest.approx((1 - 4.3027 * math.sqrt(4 / 3), 1 + 4.3027 * math.sqrt(4 / 3)), rel=1e-4)
    low, high = spread_of([1e-3, 1e-2, 1e-1])
    assert low * high == pytest.approx(1e-4)


def test_what_was_not_found_widens_the_spread() -> None:
    """An infinite error among the seeds allows any larger error; where nothing was found, something is outside."""
    assert spread_of([0.1, math.inf, 0.2]) == (0.1, math.inf)
    assert spread_of([math.inf, math.inf])[0] == math.inf


def test_each_number_is_compared_with_its_own() -> None:
    """Lists number by number, as far as all have one; a case without two other seeds is left out."""
    others = [_outcome(seed, rmse=[1.0 + 0.01 * seed, 2.0 + 0.01 * seed, 3.0][: 3 - seed // 2]) for seed in range(3)]
    found = compare(_experiment(), others, [_outcome(3, rmse=[1.02, 7.0, 3.0]), _outcome(3, "b", rmse=[1.0])])
    assert [(each.name, each.is_inside) for each in found] == [("rmse 1", True), ("rmse 2", False)]
    text = told(found)
    assert text.startswith("- A fresh seed (3): 1 of 2 numbers lie within the spread of the others; outside: a, KAN,")
    assert "rmse 2: 7 (" in text
    assert told([]) == ""


def test_equal_numbers_have_no_spread_but_their_digits() -> None:
    """A fit without chance gives one number; the same one lies within, another one does not."""
    others = [_outcome(seed, rmse=3.98107e-06) for seed in range(3)]
    for value, is_inside in ((3.98107e-06, True), (3.9e-06, False)):
        (found,) = compare(_experiment(), others, [_outcome(3, rmse=value)])
        assert found.is_inside == is_inside


def test_a_fresh_seed_of_quick_runs_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """It would be compared with full ones."""
    with pytest.raises(SystemExit) as ended:
        command.main(["toy", "--fresh", "--quick"])
    assert ended.value.code == 2
    assert "--fresh with --quick" in capsys.readouterr().err


def test_all_experiments_are_told_together() -> None:
    """Wilson's interval of 8 of 10 is 49.0 to 94.3 % (Brown, Cai and DasGupta 2001, eq. 4)."""
    inside, outside = (Comparison(Run("a", "KAN", 3), "rmse", value, 1.0, 2.0) for value in (1.5, 3.0))
    text = told_together([inside] * 8 + [outside] * 2)
    assert "8 of 10 numbers" in text
    assert "80.0 %" in text
    assert "49.0 to 94.3 %" in text
    assert not told_together([])
    other = Comparison(Run("a", "gplearn", 3), "rmse", 3.0, 1.0, 2.0)
    text = told_together([inside, other])
    assert text.startswith("1 of 2 numbers")
    assert "Without gplearn it is 1 of 1 numbers" in text
