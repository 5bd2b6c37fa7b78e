"""Fig. 3.1: the plan, the comparison with MLPs, the table and the pictures."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.paper.experiment import Number, Outcome, Run
from benchmarks.paper.experiments.toy import EXPERIMENT
from benchmarks.paper.experiments.toy.cases import CASES
from benchmarks.paper.experiments.toy.curves import Curve, curve_of, lost_to
from training.threads import torch_threads

NAME = CASES[1].target.name


def _outcome(contender: str, seed: int, parameters: list[float], errors: list[float], scale: float = 1.0) -> Outcome:
    numbers: dict[str, Number] = {"scale": scale, "parameters": parameters, "rmse": errors, "validation": errors[::-1]}
    return Outcome(Run(NAME, contender, seed), numbers, 1.0, "2026-11-27")


def _law(constant: float, parameters: list[float]) -> list[float]:
    return [constant * n**-4 for n in parameters]


def test_the_plan_is_balanced() -> None:
    """Three seeds, one after another, of the same runs; MLPs of depth 2 to 5 and of equal time."""
    runs = EXPERIMENT.plan(False)
    seeds = [[(run.case, run.contender) for run in runs if run.seed == seed] for seed in range(3)]
    assert seeds[0] == seeds[1] == seeds[2]
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
    for toy in CASES:
        contenders = {name for case, name in seeds[0] if case == toy.target.name}
        mlps = (*(f"MLP of depth {depth}" for depth in (2, 3, 4, 5)), "MLP, equal CPU time")
        assert contenders == {*toy.plans, *mlps}
    assert set(EXPERIMENT.plan(True)) <= set(runs)


def test_shapes_fit_their_functions() -> None:
    """As many inputs as variables."""
    for toy in CASES:
        assert all(plan.width[0] == len(toy.target.ranges) for plan in toy.plans.values())


def test_a_curve_has_the_medians_of_its_seeds() -> None:
    """Validation chooses each seed's error; a grid that one seed lacks is left out."""
    curve = curve_of(
        [
            _outcome("KAN", 0, [10, 20, 40], [0.05, 0.003, 0.0002], scale=2.0),
            _outcome("KAN", 1, [10, 20], [0.07, 0.005], scale=2.0),
        ]
    )
    assert curve.parameters == (10, 20)
    assert curve.medians == pytest.approx((0.06, 0.004))
    # Validation errors are given in the other order, so the first grid is chosen.
    assert curve.chosen == (0.05, 0.07)
    assert curve.relative == (0.025, 0.035)


def test_points_of_mlps_that_no_smaller_kan_is_below() -> None:
    """A point smaller than every KAN is not compared; an equal error is not below."""

    def curve(parameters: tuple[float, ...], errors: tuple[float, ...]) -> Curve:
        return Curve(parameters, tuple((error,) for error in errors), 1.0, errors[-1:], errors[-1:], "1")

    kans = [curve((20, 40), (1e-2, 1e-3))]
    mlps = {"a": curve((10, 30, 50), (1e-9, 1e-1, 1e-2)), "b": curve((20, 41), (1e-2, 1e-4))}
    assert lost_to(kans, mlps) == {"a": 0, "b": 2}


def test_table_and_pictures(tmp_path: Path) -> None:
    """The exponent of the KAN is found; each function has a picture; nothing is shown without a KAN."""
    grids = [21.0, 27.0, 42.0, 72.0]
    kan, mlp = "KAN [2,1,1]", "MLP of depth 2"
    outcomes = [
        *(_outcome(kan, seed, grids, _law(1e3 * (seed + 1), grids)) for seed in range(3)),
        *(_outcome(mlp, seed, [21.0, 41.0], [0.1, 0.05]) for seed in range(3)),
    ]
    shown = EXPERIMENT.show(outcomes, tmp_path)
    assert shown is not None
    assert "| 4.00 " in shown
    (picture,) = tmp_path.glob("toy-*.svg")
    assert f"![{NAME}](pictures/paper/{picture.name})" in shown
    assert kan in picture.read_text(encoding="utf-8")
    assert "4.0 on" in EXPERIMENT.summary(outcomes)
    assert EXPERIMENT.show(outcomes[3:], tmp_path) is None
    assert EXPERIMENT.summary([]) == ""


def test_an_mlp_of_equal_time(tmp_path: Path) -> None:
    """The table has its seconds and the KAN's, the summary the functions on which it is lower; the picture lacks it."""
    outcomes = [_outcome("KAN [2,1,1]", seed, [21.0, 27.0], [0.2, 0.1]) for seed in range(3)]
    for error, told in ((0.05, f"equal CPU time an MLP is lower on {NAME}."), (0.5, "the KAN is lower on 1 of 1")):
        timed = [_outcome("MLP, equal CPU time", seed, [261.0], [error]) for seed in range(3)]
        mlps = [
            replace(one, numbers=dict(one.numbers) | {"seconds": 7.25, "kan_seconds": 6.5}, cpu_seconds=15.0)
            for one in timed
        ]
        shown = EXPERIMENT.show([*outcomes, *mlps], tmp_path)
        assert shown is not None
        assert "| 7.25 (KAN: 6.5) " in shown
        depth = _outcome("MLP of depth 2", 0, [21.0, 41.0], [0.3, 0.3])
        assert told in EXPERIMENT.summary([*outcomes, *mlps, depth])
        (picture,) = tmp_path.glob("toy-*.svg")
        assert "equal CPU time" not in picture.read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_quick_run_is_made() -> None:
    """KANs and MLPs give finite numbers, as many errors as parameters."""
    with torch_threads(1):
        for run in EXPERIMENT.plan(True):
            numbers = EXPERIMENT.measure(run, True)
            lists = [numbers[name] for name in ("parameters", "rmse", "validation")]
            assert len({len(each) for each in lists if isinstance(each, list)}) == 1
            assert all(0 < error < 10 for each in lists[1:] if isinstance(each, list) for error in each)
