"""The bounds on our models, and whether they hold. They are meant for the reported half of the tables."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.common.verdict import Verdict
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.methods.peers import ADDITIVE, PAIRS
from benchmarks.tables.report.compare import Estimate, error_ratio, geometric_mean, loss_difference, mean_ranks
from benchmarks.tables.report.findings import Findings

# (peer, must, aim).
_RATIOS = (("LightGBM", 1.0, 0.94), ("EBM", 1.08, 0.98))
_DIFFERENCES = (("LightGBM", 0.0, -0.03), ("EBM", 0.02, 0.0))
_MEAN_RANK = 2.8
# Of sums of curves, and with terms of two columns: (method, peer, must, aim).
_CURVE_RATIOS = ((ADDITIVE, "EBM alone", 1.02, 0.98), (ADDITIVE, "EBM", 1.10, 1.0), (PAIRS, "EBM", 1.10, 1.0))
# The most rows of a table whose fit is bounded, and (must, aim) for its processor seconds.
_CURVE_ROWS, _CURVE_SECONDS = 10_000, (10, 2)
# (most rows of the table, must, aim) for the processor seconds of a fit.
_FIT_SECONDS = ((1_000, 30, 10), (10_000, 90, 30), (60_000, 300, 120))
# Rows -> (must, aim) for the time of an answer over LightGBM's predict.
_SERVED = {1: (1.0, 0.5), 1024: (0.2, 0.1)}
_COMPILED = (1024, 0.5)


@dataclass(frozen=True)
class Judged:
    """A verdict, and the interval of its number where it has one."""

    verdict: Verdict
    estimate: Estimate | None = None


def judge(findings: Findings) -> Iterator[Judged]:
    """The verdict on every bound whose number was measured."""
    tables = list(findings.tables.values())
    for peer, must, aim in _RATIOS:
        if peer in findings.methods:
            yield _of("regression: RMSE / " + peer, error_ratio(tables, OURS, peer), must, aim)
    for peer, must, aim in _DIFFERENCES:
        if peer in findings.methods:
            what = f"classification: (log loss - {peer}'s) / trivial"
            yield _of(what, loss_difference(tables, OURS, peer), must, aim)
    if tables:
        ranks = mean_ranks(tables, findings.methods)
        best = min((each.value for method, each in ranks.items() if method != OURS), default=math.nan)
        yield _of(f"mean rank of {len(findings.methods)}; aim: first", ranks[OURS], _MEAN_RANK, best)
    yield from _fit_seconds(findings)
    yield from _served(findings)
    ours = [cell for cell in [*findings.cells, *findings.failed] if cell.method == OURS]
    if ours:
        bad = {cell.table for cell in ours if cell.status != "done" or cell.unanswered_rows}
        yield Judged(_verdict("tables that fail or leave rows unanswered", "", len(bad), 0, None))


def judge_curves(findings: Findings) -> Iterator[Judged]:
    """The verdict on the bounds of additive models whose numbers were measured."""
    tables = list(findings.tables.values())
    for method, peer, must, aim in _CURVE_RATIOS:
        if {method, peer} <= set(findings.methods):
            yield _of(f"regression: RMSE of {method} / {peer}", error_ratio(tables, method, peer), must, aim)
    for method in (ADDITIVE, PAIRS):
        seconds = [
            cell.fit_cpu_seconds
            for cell in findings.cells
            if cell.method == method and cell.status == "done" and findings.rows[cell.table] <= _CURVE_ROWS
        ]
        if seconds:
            what = f"CPU seconds of {method}, slowest"
            yield Judged(_verdict(what, f"≤ {_CURVE_ROWS:,}", max(seconds), *_CURVE_SECONDS))


def all_hold(judged: Sequence[Judged]) -> bool:
    """Whether every bound that was measured holds.

    A run over a part of the tables, for example classifications only, measures only some bounds.
    If there are bounds and none was measured, nothing holds.
    """
    measured = [each.verdict for each in judged if each.verdict.is_measured]
    return all(verdict.keeps(verdict.must) for verdict in measured) and (bool(measured) or not judged)


def _fit_seconds(findings: Findings) -> Iterator[Judged]:
    least = 0
    for most, must, aim in _FIT_SECONDS:
        seconds = [
            cell.fit_cpu_seconds
            for cell in findings.cells
            if cell.method == OURS and cell.status == "done" and least < findings.rows[cell.table] <= most
        ]
        if seconds:
            yield Judged(_verdict("CPU seconds of init and run, slowest", f"≤ {most:,}", max(seconds), must, aim))
        least = most


def _served(findings: Findings) -> Iterator[Judged]:
    for rows, (must, aim) in _SERVED.items():
        ratios = [each.ours[rows] / each.lightgbm[rows] for each in findings.served.values()]
        if ratios:
            yield Judged(_verdict("answer's time / LightGBM's predict", f"{rows:,}", geometric_mean(ratios), must, aim))
    rows, aim = _COMPILED
    ratios = [each.ours[rows] / each.compiled[rows] for each in findings.served.values()]
    ratios = [ratio for ratio in ratios if not math.isnan(ratio)]
    if ratios:
        # Only listed: no bound must hold.
        what = "answer's time / LightGBM's in onnxruntime"
        yield Judged(_verdict(what, f"{rows:,}", geometric_mean(ratios), math.inf, aim))


def _of(what: str, estimate: Estimate, must: float, aim: float) -> Judged:
    return Judged(_verdict(what, "", estimate.value, must, aim), estimate)


def _verdict(what: str, rows: str, measured: float, must: float, aim: float | None) -> Verdict:
    return Verdict(OURS, what, rows, measured, must, at_most=True, aim=aim)
