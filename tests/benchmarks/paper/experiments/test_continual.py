"""Five peaks as an experiment: a KAN, an MLP of ten times its iterations, and one of its processor time."""

from pathlib import Path

from benchmarks.paper.experiment import Number, Outcome
from benchmarks.paper.experiments.continual import EXPERIMENT


def _outcomes() -> list[Outcome]:
    found = []
    for run in EXPERIMENT.plan(False):
        numbers: dict[str, Number] = {"kan_parameters": 204, "mlp_parameters": 207}
        is_timed = "CPU time" in run.contender
        for name, error in (("kan", 1e-6), ("mlp", 5.0 if is_timed else 7.0)):
            if name == "mlp" or not is_timed:
                numbers |= {f"{name}_{part}": [error] * 5 for part in ("newest", "seen", "all_peaks")}
        if is_timed:
            numbers |= {"kan_seconds": [0.2] * 5, "seconds": [0.25] * 5}
        found.append(Outcome(run, numbers, 1.0, "2026-11-28"))
    return found


def test_all_three_networks_are_told(tmp_path: Path) -> None:
    """Three lines for each of five phases, with shares of the deviation (0.34); the seconds of all five peaks."""
    outcomes = _outcomes()
    shown = EXPERIMENT.show(outcomes, tmp_path)
    assert shown is not None
    lines = [line for line in shown.splitlines() if line.startswith("| ") and "CPU time" in line]
    assert len(lines) == 5
    assert all("1.5e+01 (1.5e+01 to 1.5e+01)" in line for line in lines)
    assert "1.00 s the KAN and 1.25 s the MLP" in shown
    summary = EXPERIMENT.summary(outcomes)
    assert "KAN [1,1]: 1.0e-06" in summary
    assert "ten times the iterations: 7.0e+00" in summary
    assert "CPU time: 5.0e+00" in summary


def test_older_outcomes_are_shown_without_the_timed_mlp(tmp_path: Path) -> None:
    """They have no run of it; without any outcome there is nothing."""
    older = [one for one in _outcomes() if "CPU time" not in one.run.contender]
    shown = EXPERIMENT.show(older, tmp_path)
    assert shown is not None
    assert "CPU time" not in shown
    assert EXPERIMENT.show([], tmp_path) is None
    assert EXPERIMENT.summary([]) == ""
