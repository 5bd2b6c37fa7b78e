"""The study of random starts: its equations, its file, its verdict."""

import importlib.util
from pathlib import Path

import pytest

from benchmarks.paper.initialization.__main__ import main
from benchmarks.paper.initialization.experiments import STUDIED, Experiment, experiments
from benchmarks.paper.initialization.study import CONTROL, Result, read_results, run_study
from benchmarks.paper.initialization.table import Cell, cells_of, error_table, verdict_table
from kan_model.network.initialization import INITIALIZATIONS, Initialization


def test_every_experiment_has_three_depths() -> None:
    """Five experiments, one of them of ten equations."""
    assert len(STUDIED) == 10
    plan = experiments()
    assert {(each.name, each.depth) for each in plan} == {
        (name, depth) for name in ("staircase", "feynman", "digits", "diabetes", "diamonds") for depth in (2, 3, 5)
    }
    assert len(plan) == 3 * (4 + len(STUDIED))


def test_a_study_is_gone_on_with_where_it_stopped(tmp_path: Path) -> None:
    """What the file holds is not run again; the control is the paper's start with other seeds."""
    asked: list[tuple[Initialization, int]] = []

    def error(initialization: Initialization, seed: int, share: float) -> float:
        if len(asked) == 4:
            raise KeyboardInterrupt
        asked.append((initialization, seed))
        return 1.0 + seed

    plan = [Experiment("one", "", 2, error)]
    with pytest.raises(KeyboardInterrupt):
        run_study(plan, tmp_path / "study.json", seeds=2, share=1.0)
    assert len(read_results(tmp_path / "study.json")) == 4
    asked, before = [], asked
    results = run_study(plan, tmp_path / "study.json", seeds=2, share=1.0)
    assert not set(asked) & set(before)
    assert {(each.start, each.seed) for each in results} == {
        *((start, seed) for start in INITIALIZATIONS for seed in (0, 1)),
        *((CONTROL, seed) for seed in (2, 3)),
    }
    assert asked[-2:] == [("paper", 2), ("paper", 3)]


def test_worse_is_beyond_the_distance_of_the_quartiles() -> None:
    """Errors 1 to 5 have the quartiles 2 and 4: a median of 5 is not worse, one of 5.1 is; by logarithms 6 is not."""
    plain, logarithmic = (Cell((1.0, 2.0, 3.0, 4.0, 5.0), each) for each in (False, True))
    assert not Cell((5.0,), False).is_worse_than(plain)
    assert Cell((5.1,), False).is_worse_than(plain)
    assert not Cell((6.0,), True).is_worse_than(logarithmic)
    assert Cell((6.1,), True).is_worse_than(logarithmic)


def test_equations_count_as_one_experiment() -> None:
    """The geometric mean of a seed's equations; a seed that was cut short is left out."""
    results = [
        Result("feynman", part, 2, start, seed, error, 1.0)
        for start, factor in (("paper", 1.0), ("power-law", 0.5))
        for seed in (0, 1)
        for part, error in (("a", 1.0 * factor), ("b", 4.0 * factor))
    ]
    cells = cells_of(results[:-1])
    assert cells["feynman", 2, "paper"].errors == pytest.approx((2.0, 2.0))
    assert cells["feynman", 2, "power-law"].errors == pytest.approx((1.0,))
    assert "1 (1 to 1)" in error_table(cells)
    line = verdict_table(cells).splitlines()[2]
    assert [cell.strip() for cell in line.strip("|").split("|")] == ["power-law", "0.500", "1 of 1", "none"]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("plotnine") is None, reason="plotnine is not installed")
def test_the_quick_study_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every experiment from every start, with hardly a step."""
    main(["--quick", "--results", str(tmp_path / "study.json")])
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("staircase", "feynman", "digits", "diabetes", "diamonds", CONTROL))
