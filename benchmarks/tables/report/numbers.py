"""Tables of one number a method: Brier scores, seconds of fits, and the times of answers."""

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.common.markdown import render
from benchmarks.tables.cells import Cell
from benchmarks.tables.report.findings import Findings
from benchmarks.tables.served import ROWS


def brier_table(findings: Findings) -> str:
    """Brier scores of the classifications, means over the splits."""
    names = [name for name, table in findings.tables.items() if table.is_classification]
    return _table(findings, "Brier score", names, lambda cell: cell.scores["brier"], "{:.3f}")


def seconds_table(findings: Findings) -> str:
    """Processor seconds of the fits, means over the splits; below, the sum of all fits that ended."""
    sums = ["all fits", ""]
    for method in findings.methods:
        seconds = [cell.fit_cpu_seconds for cell in findings.cells if cell.method == method and cell.status == "done"]
        sums.append(f"{sum(seconds):,.1f}")
    names = list(findings.tables)
    return _table(findings, "CPU seconds of a fit", names, lambda cell: cell.fit_cpu_seconds, "{:,.1f}", sums)


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
                times = np.mean([(each.ours[count], each.lightgbm[count], each.compiled[count]) for each in found], 0)
                row += [*(f"{mean:,.1f}" for mean in times), f"{times[0] / times[1]:.3f}"]
            body.append(row)
    return f"#### Microseconds an answer, one thread\n\n{render([head, *body])}" if body else ""


def shown(cells: Sequence[Cell], text: str) -> str:
    """The text, or the word for what ended one of the fits: capped or failed."""
    bad = {cell.status for cell in cells} - {"done"}
    return sorted(bad)[0] if bad else text


def _table(
    findings: Findings,
    title: str,
    names: Sequence[str],
    score: Callable[[Cell], float],
    form: str,
    last: Sequence[str] | None = None,
) -> str:
    body = []
    for name in names:
        row = [name, f"{findings.rows[name]:,}"]
        for method in findings.methods:
            cells = findings.of(name, method)
            done = [score(cell) for cell in cells if cell.status == "done"]
            row.append(shown(cells, form.format(np.mean(done)) if done else ""))
        body.append(row)
    body += [list(last)] if last and body else []
    return f"#### {title}\n\n{render([['table', 'rows', *findings.methods], *body])}" if body else ""
