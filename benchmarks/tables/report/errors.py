"""Every table's errors: ours marked as won or lost against each peer, and how much better or worse with intervals."""

import math
from collections.abc import Iterator, Sequence

from benchmarks.common.markdown import render
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.report.compare import Estimate, Measured, error_ratio, loss_difference, outcome, ranks_on
from benchmarks.tables.report.findings import Findings
from benchmarks.tables.report.numbers import shown

_LEGEND = "Means over the splits; the best is bold."
_MARKS = " Beside a peer's error: whether ours won or lost against it."


def error_tables(findings: Findings) -> str:
    """RMSE / std of every regression, log loss of every classification."""
    has_ours = OURS in findings.methods
    parts: list[str] = []
    for title, names in _by_task(findings, "Regression: RMSE / std", "Classification: log loss"):
        head = ["table", "rows", *findings.methods, "trivial", *(["rank of ours"] if has_ours else [])]
        body = [_error_row(findings, name) for name in names]
        # Said once, below the first title.
        legend = "" if parts else f"{_LEGEND}{_MARKS * has_ours}\n\n"
        parts.append(f"#### {title}\n\n{legend}{render([head, *body])}")
    return "\n".join(parts)


def difference_tables(findings: Findings) -> str:
    """Ours against each peer on every table, with the bootstrap's interval over its splits."""
    peers = [method for method in findings.methods if method != OURS]
    if OURS not in findings.methods or not peers:
        return ""
    parts = []
    titles = "Regression: RMSE, ours / the peer's", "Classification: (log loss, ours - the peer's) / trivial"
    for title, names in _by_task(findings, *titles):
        body = [[name, *(_difference(findings.tables[name], peer) for peer in peers)] for name in names]
        parts.append(f"#### {title}\n\n{render([['table', *peers], *body])}")
    return "\n".join(parts)


def _by_task(findings: Findings, regression: str, classification: str) -> Iterator[tuple[str, Sequence[str]]]:
    for title, is_classification in ((regression, False), (classification, True)):
        names = [name for name, each in findings.tables.items() if each.is_classification == is_classification]
        if names:
            yield title, names


def _error_row(findings: Findings, name: str) -> list[str]:
    table = findings.tables[name]
    means = {method: float(table.errors[method].mean()) for method in findings.methods}
    best = min(means.values())
    row = [name, f"{findings.rows[name]:,}"]
    for method, mean in means.items():
        text = shown(findings.of(name, method), f"{mean:.3f}")
        text = f"**{text}**" if mean == best and math.isfinite(mean) else text
        mark = outcome(table, OURS, method) if OURS in means and method != OURS else ""
        row.append(f"{text} {mark}".strip())
    ranks = dict(zip(findings.methods, ranks_on(table, findings.methods), strict=True))
    return [*row, f"{table.trivial.mean():.3f}", *([f"{ranks[OURS]:g}"] if OURS in ranks else [])]


def _difference(table: Measured, peer: str) -> str:
    compare = loss_difference if table.is_classification else error_ratio
    found = compare([table], OURS, peer)
    if not found.tables:
        return "–"
    return f"{found.value:.3f}{_interval(found)}"


def _interval(estimate: Estimate) -> str:
    # One split has no interval.
    return f" [{estimate.low:.3f}, {estimate.high:.3f}]" if estimate.low < estimate.high else ""
