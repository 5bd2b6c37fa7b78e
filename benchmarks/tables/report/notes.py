"""What a reader of the tables must know: what did not end well, what is left out, which cells were measured before."""

from collections.abc import Sequence

from benchmarks.tables.cells import Cell
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.report.findings import Findings


def notes(findings: Findings) -> str:
    """A list: fits that were cut off or failed, rows without an answer, tables left out, cells measured before."""
    lines = [*_capped(findings), *_failed(findings)]
    bad = [cell for cell in findings.cells if cell.unanswered_rows or cell.is_file_refused]
    if bad:
        where = ", ".join(
            f"{_where(cell)} ({cell.unanswered_rows} rows{', file refused' * cell.is_file_refused})" for cell in bad
        )
        lines.append(f"{OURS} left rows unanswered: {where}")
    if not lines and not findings.left_out:
        lines.append("No fit was cut off, none failed, and every row was answered")
    for reason in dict.fromkeys(findings.left_out.values()):
        names = [name for name, why in findings.left_out.items() if why == reason]
        lines.append(f"left out, {reason}: {', '.join(names)}")
    lines += _not_timed(findings)
    lines += _kept(findings)
    return "#### Notes\n\n" + "".join(f"- {line}.\n" for line in lines)


def _capped(findings: Findings) -> list[str]:
    by_cap: dict[tuple[str, int], list[Cell]] = {}
    for cell in findings.cells:
        if cell.status == "capped":
            by_cap.setdefault((cell.method, cell.cap_seconds), []).append(cell)
    return [f"{method} cut off at {cap} CPU seconds: {_places(cells)}" for (method, cap), cells in by_cap.items()]


def _failed(findings: Findings) -> list[str]:
    return [f"{cell.method} failed: {_where(cell)}: {last_line(cell.why)}" for cell in findings.failed]


def _not_timed(findings: Findings) -> list[str]:
    if not {OURS, "LightGBM"} <= set(findings.methods):
        return []
    done = {(cell.table, cell.split) for cell in findings.cells if (cell.method, cell.status) == (OURS, "done")}
    missing = sorted(done - set(findings.served))
    return [f"answers not timed: {', '.join(f'{table}/{split}' for table, split in missing)}"] if missing else []


def _kept(findings: Findings) -> list[str]:
    by_text: dict[str, list[str]] = {}
    for method in findings.methods:
        of_method = [cell for cell in findings.cells if cell.method == method]
        cells = [cell for cell in of_method if cell.is_kept]
        if cells:
            days = sorted({cell.date for cell in cells})
            span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
            which = "all cells" if len(cells) == len(of_method) else _places(cells)
            by_text.setdefault(f"{which}, measured {span}", []).append(method)
    return [
        f"from tables/measured, with the seconds of the machine of that day: {', '.join(methods)}: {text}"
        for text, methods in by_text.items()
    ]


def last_line(text: str) -> str:
    """The last line of an error, which names it."""
    return (text.strip().splitlines() or ["no message"])[-1][:200]


def _places(cells: Sequence[Cell]) -> str:
    return ", ".join(_where(cell) for cell in cells)


def _where(cell: Cell) -> str:
    return f"{cell.table}/{cell.split}"
