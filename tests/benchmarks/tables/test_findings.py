"""Cells become tables of errors, and these become verdicts and Markdown."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchmarks.tables.bounds import judge
from benchmarks.tables.cells import Cell
from benchmarks.tables.findings import Findings, collect
from benchmarks.tables.served import Served
from benchmarks.tables.splits import Split
from benchmarks.tables.table import error_tables, notes, summary_table, verdict_table

METHODS = ("ours", "EBM", "LightGBM")


def _cell(method: str, error: float, number: int = 0) -> Cell:
    scores = {"error": error, "trivial": 1.0, "rmse": error, "mae": error}
    return Cell("small", number, method, "done", scores, fit_cpu_seconds=20.0, cap_seconds=300)


def _collect(split: Split, cells: Sequence[Cell]) -> Findings:
    splits = [replace(split, number=number) for number in sorted({cell.split for cell in cells})]
    served = {("small", 0): Served({1: 5.0, 1024: 100.0}, {1: 10.0, 1024: 1000.0}, {1: 4.0, 1024: 400.0})}
    return collect(cells, splits, METHODS, served)


def _verdicts(findings: Findings) -> dict[str, tuple[object, bool]]:
    return {
        f"{each.verdict.what} {each.verdict.rows}".strip(): (
            each.verdict.measured,
            each.verdict.keeps(each.verdict.must),
        )
        for each in judge(findings)
    }


def test_bounds_are_judged(split: Split) -> None:
    """RMSE over LightGBM's is 1/2 and over EBM's 2; ours ranks second of three; an answer takes half and a tenth."""
    found = _verdicts(_collect(split, [_cell("ours", 0.2), _cell("EBM", 0.1), _cell("LightGBM", 0.4)]))
    assert found["regression: RMSE / LightGBM"] == (pytest.approx(0.5), True)
    assert found["regression: RMSE / EBM"] == (pytest.approx(2.0), False)
    assert found["mean rank of 3; aim: first"] == (2.0, True)
    assert found["CPU seconds of init and run, slowest ≤ 1,000"] == (20.0, True)
    assert found["answer's time / LightGBM's predict 1"] == (pytest.approx(0.5), True)
    assert found["answer's time / LightGBM's predict 1,024"] == (pytest.approx(0.1), True)
    assert found["answer's time / LightGBM's in onnxruntime 1,024"] == (pytest.approx(0.25), True)
    assert found["tables that fail or leave rows unanswered"] == (0, True)


def test_a_bound_without_a_measured_table_does_not_hold(split: Split) -> None:
    """No classification was measured, so its numbers are NaN."""
    found = _verdicts(_collect(split, [_cell("ours", 0.2), _cell("EBM", 0.1), _cell("LightGBM", 0.4)]))
    measured, holds = found["classification: (log loss - EBM's) / trivial"]
    assert str(measured) == "nan"
    assert not holds


def test_a_table_that_lacks_a_cell_is_left_out(split: Split) -> None:
    """Else a run that was stopped would rank two methods among three."""
    lacking = _collect(split, [_cell("ours", 0.2), _cell("EBM", 0.1)])
    assert not lacking.tables
    assert not lacking.served
    cells = [_cell(method, 0.2, number) for method in METHODS for number in (0, 1)]
    assert _collect(split, cells).tables
    assert not _collect(split, cells[:-1]).tables


def test_where_ours_fails_it_counts_as_the_trivial_answer(split: Split) -> None:
    """The table stays in every ratio, and among the tables that must not fail."""
    failed = Cell("small", 0, "ours", "failed", why="kan-train run ended with 2")
    findings = _collect(split, [failed, _cell("EBM", 0.5), _cell("LightGBM", 0.4)])
    found = _verdicts(findings)
    assert found["regression: RMSE / EBM"][0] == pytest.approx(2.0)
    assert found["tables that fail or leave rows unanswered"] == (1, False)
    assert "ours failed: small/0" in notes(findings)


def test_unanswered_rows_are_counted_by_tables(split: Split) -> None:
    """Two splits of one table are one table."""
    cells = [_cell(method, 0.2, number) for method in METHODS for number in (0, 1)]
    cells = [
        replace(cell, unanswered_rows=3, is_file_refused=True) if cell.method == "ours" else cell for cell in cells
    ]
    findings = _collect(split, cells)
    assert _verdicts(findings)["tables that fail or leave rows unanswered"] == (1, False)
    assert "small/0 (3 rows, file refused)" in notes(findings)


def test_tables_show_wins_losses_and_caps(split: Split) -> None:
    """The best is bold, a fit that was cut off is named instead of its error and in the notes."""
    capped = Cell("small", 0, "EBM", "capped", cap_seconds=300)
    findings = _collect(split, [_cell("ours", 0.2), capped, _cell("LightGBM", 0.1)])
    [row] = [line for line in error_tables(findings).splitlines() if line.startswith("| small")]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "small",
        "250",
        "0.200",
        "capped",
        "**0.100**",
        "1.000",
        "2",
    ]
    assert "EBM cut off at its cap: small/0" in notes(findings)
    assert "2.000 [2.000, 2.000] (1)" in summary_table(findings)
    assert "MISSED" in verdict_table(list(judge(findings)))
