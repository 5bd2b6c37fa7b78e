"""Outcomes of an experiment are kept one by one, and come back as they were."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from benchmarks.paper.experiment import Experiment, Number, Outcome, Run
from benchmarks.paper.outcomes import Outcomes, by_contender, missing

RUNS = tuple(Run("xy", contender, seed) for seed in range(2) for contender in ("KAN", "MLP"))


def _plan(_quick: bool) -> Sequence[Run]:
    return RUNS


def _measure(run: Run, _quick: bool) -> Mapping[str, Number]:
    return {"rmse": run.seed / 3}


def _show(outcomes: Sequence[Outcome], _pictures: Path) -> str | None:
    return f"{len(outcomes)} runs" if outcomes else None


def _experiment(revision: int = 1, name: str = "example") -> Experiment:
    return Experiment(name, "Example", "It holds.", revision, ("rmse",), (), _plan, _measure, _show, lambda _: "")


def _outcome(run: Run) -> Outcome:
    numbers: dict[str, Number] = {
        "rmse": 1 / 3,
        "worst": math.inf,
        "grids": [3.0, math.nan],
        "parameters": 12,
        "form": "x*y",
    }
    return Outcome(run, numbers, 1.5, "2026-11-27")


def test_outcomes_come_back(tmp_path: Path) -> None:
    """With infinities and NaN, numbers to six digits; the file is JSON of one line a run."""
    outcomes = Outcomes(tmp_path / "example.json", _experiment())
    assert outcomes.load() == []
    assert outcomes.where() == ""
    for run in RUNS[:3]:
        outcomes.add(_outcome(run), "python -m benchmarks.paper example")
    found = outcomes.load()
    assert [each.run for each in found] == list(RUNS[:3])
    numbers = found[0].numbers
    assert numbers["rmse"] == 0.333333
    assert numbers["worst"] == math.inf
    grids = numbers["grids"]
    assert isinstance(grids, list)
    assert grids[0] == 3
    assert math.isnan(grids[1])
    assert (numbers["parameters"], numbers["form"]) == (12, "x*y")
    text = outcomes.path.read_text(encoding="utf-8")
    assert sum('"case"' in line for line in text.splitlines()) == 3
    assert json.loads(text)["revision"] == 1
    assert "`python -m benchmarks.paper example` (one thread)" in outcomes.where()
    assert list(missing(RUNS, found)) == [RUNS[3]]


def test_an_outcome_of_the_same_run_replaces_it(tmp_path: Path) -> None:
    """Of two outcomes of one run the later one stays."""
    outcomes = Outcomes(tmp_path / "example.json", _experiment())
    for seconds in (1.0, 2.0):
        outcomes.add(Outcome(RUNS[0], {"rmse": 0.5}, seconds, "2026-11-27"), "python")
    assert [each.cpu_seconds for each in outcomes.load()] == [2.0]


def test_outcomes_of_another_revision_are_not_there(tmp_path: Path) -> None:
    """They are measured again; those of another experiment, or no outcomes at all, are refused."""
    path = tmp_path / "example.json"
    Outcomes(path, _experiment()).add(_outcome(RUNS[0]), "python")
    assert Outcomes(path, _experiment(revision=2)).load() == []
    with pytest.raises(ValueError, match=r"of example; wanted other"):
        Outcomes(path, _experiment(name="other")).load()
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="not the outcomes of an experiment"):
        Outcomes(path, _experiment()).load()


def test_outcomes_of_a_case_by_contender() -> None:
    """Each contender's by seed, whatever the order in which they were made."""
    found = by_contender([_outcome(run) for run in reversed(RUNS)], "xy")
    assert {name: [each.run.seed for each in some] for name, some in found.items()} == {"KAN": [0, 1], "MLP": [0, 1]}
    assert by_contender([_outcome(RUNS[0])], "other") == {}
