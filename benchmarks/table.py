"""What was measured, as Markdown tables that read well in a terminal too."""

from collections.abc import Sequence

from benchmarks.candidates import FLOOR, PEER
from benchmarks.measure import Measured, Result
from benchmarks.networks import ROW_COUNTS
from benchmarks.verdicts import Verdict


def network_table(result: Result) -> str:
    """Every candidate of a network: errors, then for each row count its time and what that is beside peer and floor."""
    head = ["candidate", "what runs", "error inside", "to 3 domains"]
    for rows in ROW_COUNTS:
        head += [f"N={rows}: µs min (median)", "× faster", "/ MatMul"]
    body = [_candidate_row(result, name, measured) for name, measured in result.measured.items()]
    return f"### {result.network.name}\n\n{_remarks(result)}{_render([head, *body])}"


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """Every bound beside what was measured."""
    head = ["network", "policy", "what", "N", "measured", "by minima", "must", "", "aim", ""]
    return _render([head, *(_verdict_row(verdict) for verdict in verdicts)])


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
    sign = "≤" if verdict.at_most else "≥"
    by_minima = "" if verdict.by_minima is None else f"{verdict.by_minima:.3g}"
    row = [verdict.network, verdict.policy, verdict.what, verdict.rows, f"{verdict.measured:.3g}", by_minima]
    for bound, word in ((verdict.must, "MISSED"), (verdict.aim, "not reached")):
        row += ["", ""] if bound is None else [f"{sign} {bound:g}", "ok" if verdict.keeps(bound) else word]
    return row


def _microseconds(seconds: float) -> str:
    microseconds = seconds * 1e6
    return f"{microseconds:.1f}" if microseconds < 100 else f"{microseconds:,.0f}"


def _render(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"
