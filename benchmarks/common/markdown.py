"""Markdown tables that are readable in a terminal too."""

from collections.abc import Sequence

from benchmarks.common.verdict import Verdict


def bounds_row(verdict: Verdict) -> list[str]:
    """The cells of the columns must and aim, each with a mark that tells whether the bound holds.

    A bound of which nothing was measured neither holds nor is missed.
    """
    sign = "≤" if verdict.at_most else "≥"
    row = []
    for bound, word in ((verdict.must, "MISSED"), (verdict.aim, "not reached")):
        if bound is None:
            row += ["", ""]
        elif not verdict.is_measured:
            row += [f"{sign} {bound:g}", "not measured"]
        else:
            row += [f"{sign} {bound:g}", "ok" if verdict.keeps(bound) else word]
    return row


def render(rows: Sequence[Sequence[str]]) -> str:
    """Rows of equal length as a table; the first is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"
