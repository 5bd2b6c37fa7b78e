"""The Markdown tables: every table's errors, Brier scores, seconds and times of answers, then all in a few numbers."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.common.markdown import bounds_row, render
from benchmarks.tables.bounds import Judged
from benchmarks.tables.cells import Cell
from benchmarks.tables.compare import Estimate, error_ratio, loss_difference, mean_ranks, ranks_on
from benchmarks.tables.findings import Findings
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.served import ROWS

_NOTHING = Estimate(math.nan, math.nan, math.nan, 0)


def error_tables(findings: Findings) -> str:
    """RMSE / std of every regression, log loss of every classification; the best is bold."""
    parts = []
    for title, is_classification in (("Regression: RMSE / std", False), ("Classification: log loss", True)):
        names = [name for name, each in findings.tables.items() if each.is_classification == is_classification]
        if names:
            body = [_error_row(findings, name) for name in names]
            head = ["table", "rows", *findings.methods, "trivial", "rank of ours"]
            parts.append(f"#### {title}\n\n{render([head, *body])}")
    return "\n".join(parts)


def score_table(findings: Findings, title: str, score: Callable[[Cell], float], *, only_classes: bool = False) -> str:
    """One number of each cell, its mean over the splits."""
    body = []
    for name, table in findings.tables.items():
        if only_classes and not table.is_classification:
            continue
        row = [name, f"{findings.rows[name]:,}"]
        for method in findings.methods:
            cells = [cell for cell in findings.cells if (cell.table, cell.method) == (name, method)]
            row.append(
                _shown(cells, float(np.mean([score(cell) for cell in cells if cell.status == "done"] or [math.nan])))
            )
        body.append(row)
    return f"#### {title}\n\n{render([['table', 'rows', *findings.methods], *body])}" if body else ""


def served_table(findings: Findings) -> str:
    """Microseconds of an answer, means over the splits."""
    head = ["table"]
    for count in ROWS:
        rows = f"{count:,} row{'s' * (count > 1)}"
        head += [f"ours, {rows}", f"LightGBM, {rows}", f"in onnxruntime, {rows}", "ours / LightGBM"]
    body = []
    for name in findings.tables:
        found = [served for (table, _), served in findings.served.items() if table == name]
        if found:
            row = [name]
            for count in ROWS:
                means = [
                    float(np.mean(times))
                    for times in zip(
                        *((s.ours[count], s.lightgbm[count], s.compiled[count]) for s in found), strict=True
                    )
                ]
                row += [*(f"{mean:,.1f}" for mean in means), f"{means[0] / means[1]:.3f}"]
            body.append(row)
    return f"#### Microseconds an answer, one thread\n\n{render([head, *body])}" if body else ""


def summary_table(findings: Findings) -> str:
    """Mean ranks, and ours against each peer, with 95 % intervals of the bootstrap."""
    tables = list(findings.tables.values())
    ranks = mean_ranks(tables, findings.methods)
    body = []
    for method, rank in sorted(ranks.items(), key=lambda item: item[1].value):
        ratio, difference = (
            compare(tables, OURS, method) if OURS in ranks and method != OURS else _NOTHING
            for compare in (error_ratio, loss_difference)
        )
        body.append([method, _estimate(rank, 2), _estimate(ratio, 3), _estimate(difference, 3)])
    head = ["method", "mean rank", "RMSE, ours / its (tables)", "(log loss, ours - its) / trivial (tables)"]
    return f"#### All tables\n\n{render([head, *body])}"


def notes(findings: Findings) -> str:
    """What did not end well: fits that were cut off or failed, files that were refused, rows without an answer."""
    lines = []
    for status, text in (("capped", "cut off at its cap"), ("failed", "failed")):
        for method in findings.methods:
            cells = [cell for cell in findings.cells if (cell.method, cell.status) == (method, status)]
            if cells:
                where = ", ".join(_where(cell) for cell in cells)
                lines.append(f"- {method} {text}: {where}")
    bad = [cell for cell in findings.cells if cell.unanswered_rows or cell.is_file_refused]
    if bad:
        where = ", ".join(
            f"{_where(cell)} ({cell.unanswered_rows} rows{', file refused' * cell.is_file_refused})" for cell in bad
        )
        lines.append(f"- {OURS} left rows unanswered: {where}")
    return "\n".join([*lines, ""]) if lines else "No fit was cut off, none failed, and every row was answered.\n"


def verdict_table(judged: Sequence[Judged]) -> str:
    """Every bound."""
    body = []
    for each in judged:
        verdict = each.verdict
        interval = "" if each.estimate is None else f"{each.estimate.low:.3f} to {each.estimate.high:.3f}"
        bounds = bounds_row(verdict)
        if verdict.must == math.inf:
            bounds[:2] = ["listed", ""]
        body.append([verdict.what, verdict.rows, f"{verdict.measured:.3f}", interval, *bounds])
    return f"#### Bounds\n\n{render([['what', 'rows', 'measured', '95 %', 'must', '', 'aim', ''], *body])}"


def _error_row(findings: Findings, name: str) -> list[str]:
    table = findings.tables[name]
    means = {method: float(table.errors[method].mean()) for method in findings.methods}
    best = min(means.values())
    row = [name, f"{findings.rows[name]:,}"]
    for method, mean in means.items():
        cells = [cell for cell in findings.cells if (cell.table, cell.method) == (name, method)]
        shown = _shown(cells, mean)
        row.append(f"**{shown}**" if mean == best and math.isfinite(mean) else shown)
    ranks = dict(zip(findings.methods, ranks_on(table, findings.methods), strict=True))
    return [*row, f"{table.trivial.mean():.3f}", f"{ranks[OURS]:g}" if OURS in ranks else ""]


def _shown(cells: Sequence[Cell], mean: float) -> str:
    bad = {cell.status for cell in cells} - {"done"}
    return sorted(bad)[0] if bad else _three_digits(mean)


def _three_digits(number: float) -> str:
    return f"{number:.3f}" if abs(number) < 10 else f"{number:,.0f}"


def _estimate(estimate: Estimate, digits: int) -> str:
    if not estimate.tables:
        return "–"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}] ({estimate.tables})"


def _where(cell: Cell) -> str:
    return f"{cell.table}/{cell.split}"
