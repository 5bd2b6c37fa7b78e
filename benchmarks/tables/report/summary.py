"""All tables in a few numbers, and the verdict on every bound."""

import math
from collections.abc import Sequence

from benchmarks.common.markdown import bounds_row, render
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.report.bounds import Judged
from benchmarks.tables.report.compare import Estimate, error_ratio, loss_difference, mean_ranks, outcome
from benchmarks.tables.report.findings import Findings


def summary_table(findings: Findings) -> str:
    """Mean ranks, and ours against each peer: tables won and lost, and 95 % intervals of the bootstrap."""
    tables = list(findings.tables.values())
    ranks = mean_ranks(tables, findings.methods)
    head = ["method", "mean rank (tables)"]
    if OURS in ranks:
        head += ["ours won", "ours lost", "RMSE, ours / its (tables)", "(log loss, ours - its) / trivial (tables)"]
    body = []
    for method, rank in sorted(ranks.items(), key=lambda item: item[1].value):
        row = [method, _estimate(rank, 2)]
        if OURS in ranks and method != OURS:
            outcomes = [outcome(table, OURS, method) for table in tables]
            row += [str(outcomes.count(each)) for each in ("won", "lost")]
            row += [_estimate(compare(tables, OURS, method), 3) for compare in (error_ratio, loss_difference)]
        body.append([*row, *["–"] * (len(head) - len(row))])
    return f"#### All tables\n\n{render([head, *body])}"


def verdict_table(judged: Sequence[Judged]) -> str:
    """Every bound."""
    body = []
    for each in judged:
        verdict = each.verdict
        estimate = each.estimate if verdict.is_measured else None
        interval = "" if estimate is None else f"{estimate.low:.3f} to {estimate.high:.3f}"
        measured = f"{verdict.measured:.3f}" if verdict.is_measured else "–"
        bounds = bounds_row(verdict)
        if verdict.must == math.inf:
            bounds[:2] = ["listed", ""]
        body.append([verdict.what, verdict.rows, measured, interval, *bounds])
    return f"#### Bounds\n\n{render([['what', 'rows', 'measured', '95 %', 'must', '', 'aim', ''], *body])}"


def _estimate(estimate: Estimate, digits: int) -> str:
    if not estimate.tables:
        return "–"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}] ({estimate.tables})"
