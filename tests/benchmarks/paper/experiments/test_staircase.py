"""Fig. 2.3: KANs on finer and finer grids, and MLPs of their parameters and of their processor time."""

from pathlib import Path

import pytest
import torch

from benchmarks.paper.experiment import Number, Outcome, Run
from benchmarks.paper.experiments.staircase import EXPERIMENT
from benchmarks.paper.fits.points import points_of
from benchmarks.paper.functions.toy import TOYS
from benchmarks.paper.staircase import points

KANS = {"KAN [2,5,1]": 1e-5, "KAN [2,1,1]": 1e-7}
MLPS = {
    "MLP, parameters of [2,5,1] at G = 20": 1e-4,
    "MLP, parameters of [2,1,1] at G = 50": 1e-4,
    "MLP, CPU time of [2,5,1]": 1e-6,
    "MLP, CPU time of [2,1,1]": 1e-5,
}


def _outcomes(contenders: dict[str, float]) -> list[Outcome]:
    found = []
    for run in EXPERIMENT.plan(False):
        if run.contender in contenders:
            error = contenders[run.contender]
            numbers: dict[str, Number] = {"rmse": [error], "relative": [error], "parameters": [100.0]}
            numbers |= {"seconds": 4.0, "kan_seconds": 3.5} if "CPU time" in run.contender else {}
            found.append(Outcome(Run(run.case, run.contender, run.seed), numbers, 9.0, "2026-11-28"))
    return found


def test_each_kan_has_an_mlp_of_its_size_and_one_of_its_time() -> None:
    """From each of four seeds or more, one after another."""
    runs = EXPERIMENT.plan(False)
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
    for seed in range(4):
        assert [run.contender for run in runs if run.seed == seed] == [*KANS, *MLPS]


@pytest.mark.parametrize("part", range(3))
def test_mlps_of_equal_time_have_the_points_of_the_kan(part: int) -> None:
    """Training, validation and test rows of a seed are the same; so are the values, back in the target's unit."""
    x, y = points(3 * 2 + part)
    same = points_of(TOYS[1], 2, 1000, 1000)
    rows = (same.train, same.validation, same.test)[part]
    torch.testing.assert_close(rows.x, x, rtol=0, atol=0)
    difference = same.scale * rows.y - y
    torch.testing.assert_close(difference, difference.mean().expand_as(difference), rtol=0, atol=1e-12)


def test_the_summary_says_which_mlp_is_lower(tmp_path: Path) -> None:
    """Each MLP is compared with its own KAN; the time of one of equal time stands beside the KAN's."""
    outcomes = _outcomes(KANS | MLPS)
    assert EXPERIMENT.summary(outcomes).endswith(". MLP, CPU time of [2,5,1] is lower than KAN [2,5,1].")
    better = _outcomes({**dict.fromkeys(KANS, 1e-9), **MLPS})
    assert EXPERIMENT.summary(better).endswith("Each KAN is lower than both MLPs beside it.")
    shown = EXPERIMENT.show(outcomes, tmp_path)
    assert shown is not None
    (line,) = [each for each in shown.splitlines() if each.startswith("| MLP, CPU time of [2,5,1]")]
    assert line.split("|")[-2].strip() == "4 (KAN: 3.5)"


def test_kans_alone_are_shown_without_a_verdict(tmp_path: Path) -> None:
    """A run that is cut short has a table; without KANs there is none."""
    assert EXPERIMENT.show(_outcomes(KANS), tmp_path) is not None
    assert EXPERIMENT.summary(_outcomes(KANS)) == ""
    assert EXPERIMENT.show(_outcomes(MLPS), tmp_path) is None
