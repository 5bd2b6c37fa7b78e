"""The results as Markdown tables that are readable in a terminal too."""

from collections.abc import Sequence

from benchmarks.common.markdown import bounds_row, render
from benchmarks.common.verdict import Verdict
from benchmarks.lowering.candidates import FLOOR, PEER
from benchmarks.lowering.measure import Measured, Result
from benchmarks.lowering.networks import ROW_COUNTS


def network_table(result: Result) -> str:
    """A line per candidate: its errors, then for each row count its time and the ratios to peer and bare MatMul."""
    head = ["candidate", "what runs", "error inside", "to 3 domains"]
    for rows in ROW_COUNTS:
        head += [f"N={rows}: µs min (median)", "× faster", "/ MatMul"]
    body = [_candidate_row(result, name, measured) for name, measured in result.measured.items()]
    return f"### {result.network.name}\n\n{_remarks(result)}{render([head, *body])}"


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """A line per bound, with the number that was measured."""
    head = ["network", "policy", "what", "N", "measured", "by minima", "must", "", "aim", ""]
    return render([head, *(_verdict_row(verdict) for verdict in verdicts)])


def _candidate_row(result: Result, name: str, measured: Measured) -> list[str]:
    row = [name, measured.candidate.note]
    row += ["–", "–"] if measured.errors is None else [f"{error:.1e}" for error in measured.errors]
    for rows in ROW_COUNTS:
        timing = measured.timings.get(rows)
        if timing is None:
            row += ["–", "–", "–"]
            continue
        row += [
            f"{_microseconds(timing.minimum)} ({_microseconds(timing.median)})",
            f"{result.timing(PEER, rows).median / timing.median:.2f}",
            f"{timing.median / result.timing(FLOOR, rows).median:.2f}",
        ]
    return row


def _remarks(result: Result) -> str:
    remarks = []
    if result.hidden_outside is not None:
        remarks.append(f"{result.hidden_outside:.1%} of the hidden activations leave their domain.")
    memory = [
        f"{name} {measured.memory_mb:.1f}"
        for name, measured in result.measured.items()
        if measured.memory_mb is not None
    ]
    if memory:
        remarks.append(f"MB above the loaded session for {ROW_COUNTS[-1]} rows: {'; '.join(memory)}.")
    return " ".join(remarks) + "\n\n" if remarks else ""


def _verdict_row(verdict: Verdict) -> list[str]:
    by_minima = "" if verdict.by_minima is None else f"{verdict.by_minima:.3g}"
    row = [verdict.network, verdict.policy, verdict.what, verdict.rows, f"{verdict.measured:.3g}", by_minima]
    return row + bounds_row(verdict)


def _microseconds(seconds: float) -> str:
    microseconds = seconds * 1e6
    return f"{microseconds:.1f}" if microseconds < 100 else f"{microseconds:,.0f}"
