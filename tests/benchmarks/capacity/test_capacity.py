"""The plan: the smallest number that holds, and the table of those that were tried."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capacity import __main__
from benchmarks.capacity.__main__ import attempt, smallest
from benchmarks.capacity.arrivals import Arrivals, poisson
from benchmarks.capacity.costs import Costs
from benchmarks.capacity.simulation import Fleet


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 100))
def test_smallest_is_the_first_that_holds(first: int, least: int, most: int) -> None:
    """Where all from some number on hold, that number is found, or the least; None where the most does not hold."""
    wanted = max(first, least)
    assert smallest(lambda number: number >= first, least, max(most, least)) == (
        wanted if wanted <= max(most, least) else None
    )


def test_plan_counts_those_alone_who_came_while_one_was_away() -> None:
    """Two replicas that run one a second, three at twice that pace: one of two away is too few, one of three is not."""
    arrivals = Arrivals(np.arange(1, 401) / 1.9, np.ones(400, np.int64))
    costs = Costs(1.0, 0.0, 0.0)
    two, three = (attempt(arrivals, Fleet(n, "round robin", max_batch_rows=1), costs, 30) for n in (2, 3))
    assert two.whole.percentile_seconds(99) == pytest.approx(1)
    assert two.away_p99_seconds > 10
    assert (two.holds(1.5), three.holds(3)) == (False, True)


def test_one_replica_never_survives_its_loss() -> None:
    """However fast it is, whoever comes meanwhile gets no answer."""
    tried = attempt(poisson(100, 2000), Fleet(1), Costs(1e-6, 1e-6, 1e-6), 1.0)
    assert tried.whole.refused_share == 0
    assert tried.away_refused_share > 0.9
    assert not tried.holds(1)


def _run(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["capacity", *arguments])
    __main__.main()
    return capsys.readouterr().out


def test_command_replays_a_trace_with_costs_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read costs and trace, find the smallest number; given numbers, show those; an unreadable trace ends it.

    A request costs 53 µs in the fullest runs: one core cannot do 20,000 a second, so two must be left.
    """
    loads = [
        ("Predict, 1 caller", 330, 1),
        ("Predict, 16 callers", 100, 6),
        ("ModelInfer, 64 rows, 8 callers", 186, 250),
    ]
    costs = tmp_path / "serving.json"
    costs.write_text(
        json.dumps(
            {
                "loads": [
                    {
                        "server": "ours, envoy",
                        "load": load,
                        "rounds": [{"server_cpu_seconds": 1e-6 * each, "requests": 1}],
                        "rows_a_run": [rows],
                    }
                    for load, each, rows in loads
                ]
            }
        )
    )
    trace = tmp_path / "trace.csv"
    trace.write_text("seconds\n" + "\n".join(map(str, poisson(20_000, 5000).seconds)))
    common = ["--trace", str(trace), "--costs", str(costs), "--front-end", "envoy", "--margin", "1"]
    assert "with one lost: 3 replicas" in _run([*common, "--away-seconds", "0.1"], monkeypatch, capsys)
    lines = _run([*common, "--replicas", "3", "5"], monkeypatch, capsys).splitlines()
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ")] == ["N", "3", "5"]
    trace.write_text("nothing")
    with pytest.raises(SystemExit, match="first line"):
        _run(common, monkeypatch, capsys)
