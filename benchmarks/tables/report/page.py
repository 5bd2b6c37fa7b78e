"""The whole page: where it was measured, every table, all tables in a few numbers, the bounds, the notes."""

from collections.abc import Sequence

from benchmarks.common.surroundings import surroundings
from benchmarks.tables.needed import packages_of
from benchmarks.tables.report.bounds import Judged
from benchmarks.tables.report.errors import difference_tables, error_tables
from benchmarks.tables.report.findings import Findings
from benchmarks.tables.report.notes import notes
from benchmarks.tables.report.numbers import brier_table, seconds_table, served_table
from benchmarks.tables.report.summary import summary_table, verdict_table


def page(findings: Findings, judged: Sequence[Judged], command: str) -> str:
    """The page as Markdown; without verdicts where ours took no part."""
    parts = [surroundings(f"`{command}` (one thread a fit)", packages_of(findings.methods))]
    if judged:
        parts.append(verdict_table(judged))
    if findings.tables:
        parts += [
            summary_table(findings),
            error_tables(findings),
            difference_tables(findings),
            brier_table(findings),
            seconds_table(findings),
            served_table(findings),
        ]
    parts.append(notes(findings))
    return "\n".join(part for part in parts if part)
