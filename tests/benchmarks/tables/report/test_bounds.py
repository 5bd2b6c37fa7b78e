"""Verdicts on numbers worked out by hand."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from benchmarks.tables.cells import Cell
from benchmarks.tables.report.bounds import all_hold, judge, judge_curves
from benchmarks.tables.report.findings import Findings, collect
from benchmarks.tables.splits import Split

MakeCell = Callable[..., Cell]
Gather = Callable[[Sequence[Cell]], Findings]


def _verdicts(findings: Findings) -> dict[str, tuple[object, bool]]:
    return {
        f"{each.verdict.what} {each.verdict.rows}".strip(): (
            each.verdict.measured,
            each.verdict.keeps(each.verdict.must),
        )
        for each in judge(findings)
    }


def test_bounds_are_judged(make_cell: MakeCell, gather: Gather) -> None:
    """RMSE over LightGBM's is 1/2 and over EBM's 2; ours ranks second of three; an answer takes half and a tenth."""
    found = _verdicts(gather([make_cell("ours", 0.2), make_cell("EBM", 0.1), make_cell("LightGBM", 0.4)]))
    assert found["regression: RMSE / LightGBM"] == (pytest.approx(0.5), True)
    assert found["regression: RMSE / EBM"] == (pytest.approx(2.0), False)
    assert found["mean rank of 3; aim: first"] == (2.0, True)
    assert found["CPU seconds of init and run, slowest ≤ 1,000"] == (20.0, True)
    assert found["answer's time / LightGBM's predict 1"] == (pytest.approx(0.5), True)
    assert found["answer's time / LightGBM's predict 1,024"] == (pytest.approx(0.1), True)
    assert found["answer's time / LightGBM's in onnxruntime 1,024"] == (pytest.approx(0.25), True)
    assert found["tables that fail or leave rows unanswered"] == (0, True)


def test_sums_of_curves_have_bounds_of_their_own(make_cell: MakeCell, split: Split) -> None:
    """1.05 times the RMSE of EBM without pairs is too much, of EBM with pairs it is not; 20 s are too long."""
    methods = {"additive": 0.21, "additive with pairs": 0.19, "EBM alone": 0.2, "EBM": 0.2}
    cells = [make_cell(method, error) for method, error in methods.items()]
    findings = collect(cells, [split], list(methods), {})
    found = {each.verdict.what: each.verdict for each in judge_curves(findings)}
    alone, whole = (found[f"regression: RMSE of additive / {peer}"] for peer in ("EBM alone", "EBM"))
    assert alone.measured == pytest.approx(1.05)
    assert (alone.keeps(alone.must), whole.keeps(whole.must)) == (False, True)
    assert found["regression: RMSE of additive with pairs / EBM"].measured == pytest.approx(0.95)
    assert "CPU seconds of additive with pairs, slowest" in found
    seconds = found["CPU seconds of additive, slowest"]
    assert (seconds.measured, seconds.keeps(seconds.must)) == (20.0, False)


def test_a_bound_without_a_measured_table_does_not_hold(make_cell: MakeCell, gather: Gather) -> None:
    """No classification was measured, so its numbers are NaN."""
    found = _verdicts(gather([make_cell("ours", 0.2), make_cell("EBM", 0.1), make_cell("LightGBM", 0.4)]))
    measured, holds = found["classification: (log loss - EBM's) / trivial"]
    assert str(measured) == "nan"
    assert not holds


def test_what_was_not_measured_does_not_count(make_cell: MakeCell, gather: Gather) -> None:
    """Regressions alone keep all bounds that they have; one that is missed counts, and so does a run of nothing."""
    good = list(judge(gather([make_cell("ours", 0.1), make_cell("EBM", 0.2), make_cell("LightGBM", 0.2)])))
    assert not all(each.verdict.is_measured for each in good)
    assert all_hold(good)
    assert not all_hold([*judge(gather([make_cell("ours", 0.3), make_cell("EBM", 0.2), make_cell("LightGBM", 0.2)]))])
    assert not all_hold([each for each in good if not each.verdict.is_measured])
    assert all_hold([])


def test_where_ours_fails_it_counts_as_the_trivial_answer(make_cell: MakeCell, gather: Gather) -> None:
    """The table stays in every ratio, and among the tables that must not fail."""
    failed = Cell("small", 0, "ours", "failed", why="kan-train run ended with 2")
    findings = gather([failed, make_cell("EBM", 0.5), make_cell("LightGBM", 0.4)])
    found = _verdicts(findings)
    assert found["regression: RMSE / EBM"][0] == pytest.approx(2.0)
    assert found["tables that fail or leave rows unanswered"] == (1, False)


def test_unanswered_rows_are_counted_by_tables(make_cell: MakeCell, gather: Gather) -> None:
    """Two splits of one table are one table."""
    cells = [make_cell(method, 0.2, number) for method in ("ours", "EBM", "LightGBM") for number in (0, 1)]
    cells = [
        replace(cell, unanswered_rows=3, is_file_refused=True) if cell.method == "ours" else cell for cell in cells
    ]
    findings = gather(cells)
    assert _verdicts(findings)["tables that fail or leave rows unanswered"] == (1, False)


def test_a_table_that_nobody_can_fit_counts_as_failed(make_cell: MakeCell, gather: Gather) -> None:
    """It has no error to compare, so it is in no ratio; it must not vanish."""
    cells = [replace(make_cell(method, 0.2), status="failed", scores={}) for method in ("ours", "EBM", "LightGBM")]
    assert _verdicts(gather(cells))["tables that fail or leave rows unanswered"] == (1, False)
