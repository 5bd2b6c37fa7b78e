"""The experiment as a whole."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.paper.__main__ import main
from benchmarks.paper.experiment import Outcome, Run
from benchmarks.paper.experiments.language import EXPERIMENT
from benchmarks.paper.language.contest import CONTENDERS


def _outcomes() -> list[Outcome]:
    """All runs, with a loss that the contender and the seed determine."""
    ways = {"way_seconds": [1.0, 2.0], "way_nats": [3.0, 2.0]}
    numbers = {"bits": 3.0, "parameters": 1000, "steps": 10, "seconds": 2.0}
    found = []
    for run in EXPERIMENT.plan(False):
        nats = 2.0 + 0.1 * run.seed + CONTENDERS.index(run.contender)
        found.append(Outcome(run, ways | numbers | {"nats": nats}, 2.0, "2026-01-01"))
    return found


def test_it_shows_medians_with_their_spread(tmp_path: Path) -> None:
    """Of every contender at every size, and both pictures; without all contenders it shows nothing."""
    text = EXPERIMENT.show(_outcomes(), tmp_path)
    assert text is not None
    assert text.count("2.150 (2.000 to 2.300)") == 3
    assert {path.name for path in tmp_path.iterdir()} == {"language-parameters.svg", "language-seconds.svg"}
    assert EXPERIMENT.show(_outcomes()[:2], tmp_path) is None
    assert EXPERIMENT.summary(_outcomes()[:2]) == ""


@pytest.mark.parametrize(
    ("bits", "verdict"),
    [
        ((2.0, 3.0, 2.5), "the MLP wins"),
        ((2.7, 3.0, 2.5), "wins at equal steps and loses at equal time"),
        ((3.5, 3.0, 2.5), "the MLP loses"),
    ],
)
def test_it_says_who_wins(bits: tuple[float, ...], verdict: str) -> None:
    """By the median bits a character of the largest model."""
    by_contender = dict(zip(CONTENDERS, bits, strict=True))
    found = [replace(each, numbers={**each.numbers, "bits": by_contender[each.run.contender]}) for each in _outcomes()]
    assert verdict in EXPERIMENT.summary(found)


def test_seeds_come_one_after_another() -> None:
    """So that an experiment that was stopped is balanced; each run is planned once."""
    runs = EXPERIMENT.plan(False)
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
    assert len(set(runs)) == len(runs) == 36
    assert EXPERIMENT.plan(True) == [Run("16 wide", contender, 0) for contender in CONTENDERS]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_quick_experiment_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It trains all three models for some steps and prints their losses."""
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("onnxscript", reason="only the extra [bench] has it: torch.onnx exports by it")
    assert main(["language", "--quick"]) == 0
    shown = capsys.readouterr().out
    assert all(contender in shown for contender in CONTENDERS)
