"""Costs fitted to loads that were made from known ones, and the way there from a file of benchmarks.serving."""

import json
from pathlib import Path

import pytest

from benchmarks.capacity.costs import LOADS, CostError, Costs, Point, fit, from_json, from_results
from benchmarks.common.load_job import LoadResult
from benchmarks.serving.__main__ import _as_json
from benchmarks.serving.bounds import Findings
from benchmarks.serving.contenders import server_name
from benchmarks.serving.loads import Results

TRUE = Costs(50e-6, 270e-6, 1e-6)


def _seen(rows: int, rows_a_run: float) -> LoadResult:
    cpu_seconds = TRUE.request_seconds + TRUE.run_seconds * rows / rows_a_run + TRUE.row_seconds * rows
    return LoadResult(1000, 1.0, 1000 * cpu_seconds, 0.1, 1e-3, 2e-3)


def _results() -> Results:
    results = Results()
    for load, rows_a_run in zip(LOADS, (1.0, 6.0, 18.0, 250.0), strict=True):
        results.seen[server_name("envoy"), load].append(_seen(load.rows, rows_a_run))
        results.batch_rows[server_name("envoy"), load].append(rows_a_run)
    return results


def test_fit_finds_the_costs_that_made_the_loads() -> None:
    """Loads without noise give the costs back; two that contradict each other by a tenth are missed by their shares:
    least squares of f - 1 and f / 1.1 - 1.
    """
    points = [Point(50e-6 + 270e-6 * runs + 1e-6 * rows, runs, rows) for runs, rows in ((1, 1), (0.1, 1), (0.3, 64))]
    found = fit(points)
    assert (found.request_seconds, found.run_seconds, found.row_seconds) == pytest.approx((50e-6, 270e-6, 1e-6))
    assert found.misfit == pytest.approx(0, abs=1e-9)
    noisy = fit([*points, Point(1.1 * points[0].cpu_seconds, 1, 1)])
    between = (1 + 1 / 1.1) / (1 + 1 / 1.1**2)
    assert noisy.misfit == pytest.approx(1 - between / 1.1, rel=1e-3)


def test_no_cost_is_below_nothing() -> None:
    """Loads that cost less with more rows do not make rows pay."""
    found = fit([Point(100e-6, 1, 1), Point(60e-6, 0.1, 1), Point(55e-6, 0.1, 64)])
    assert found.row_seconds == 0
    assert min(found.request_seconds, found.run_seconds) > 0


def test_loads_that_do_not_differ_are_refused() -> None:
    """One load cannot tell three costs apart, nor can loads that differ in one thing alone, or by noise."""
    with pytest.raises(CostError, match="apart"):
        fit([Point(1e-4, 1, 1)])
    with pytest.raises(CostError, match="apart"):
        fit([Point(1e-4, runs, 1) for runs in (1, 0.5, 0.25)])
    with pytest.raises(CostError, match="apart"):
        fit([Point(1e-4, runs, rows) for runs, rows in ((1, 1), (0.999, 1), (1, 64))])


def test_file_of_the_serving_benchmark_gives_the_same_costs(tmp_path: Path) -> None:
    """What benchmarks.serving writes is read: the costs that made its loads."""
    path = tmp_path / "serving.json"
    path.write_text(json.dumps(_as_json(Findings(results=_results(), peers=()), [])))
    found = from_json(path, "envoy")
    assert found == from_results(_results(), "envoy")
    assert found.seconds(3, 7) == pytest.approx(TRUE.seconds(3, 7))
    assert found.slower(2).seconds(3, 7) == pytest.approx(2 * TRUE.seconds(3, 7))


def test_file_without_what_is_needed_is_refused(tmp_path: Path) -> None:
    """A front end that was not measured, and a file from before rows a run were written, say so."""
    path = tmp_path / "serving.json"
    content = _as_json(Findings(results=_results(), peers=()), [])
    path.write_text(json.dumps(content))
    with pytest.raises(CostError, match="0 loads"):
        from_json(path, "grpcio")
    for load in json.loads(json.dumps(content))["loads"]:
        del load["rows_a_run"]
        path.write_text(json.dumps({"loads": [load]}))
        with pytest.raises(CostError, match="rows per run"):
            from_json(path, "envoy")
