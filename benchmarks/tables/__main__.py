"""Fit the tables by our default recipe and by its peers, and check every bound: ``python -m benchmarks.tables``.

Each fit is a process with one thread. What was measured before is kept (--cache), so that a run that was stopped goes
on. The exit code is 1 if a bound that must hold and was measured does not.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.tables import record
from benchmarks.tables.cells import CODE, Cell, Cells, key_of_code
from benchmarks.tables.kept import FOLDER, Kept
from benchmarks.tables.measure import keep, measure
from benchmarks.tables.methods.fits import ROOT
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.needed import modules_of, tell_missing
from benchmarks.tables.report.bounds import Judged, all_hold, judge, judge_curves
from benchmarks.tables.report.findings import collect
from benchmarks.tables.report.notes import last_line
from benchmarks.tables.report.page import page
from benchmarks.tables.served import Served, find_served, time_served
from benchmarks.tables.sources import SOURCES
from benchmarks.tables.splits import SPLITS, write_splits
from benchmarks.tables.tasks import DEFAULT_METHODS, METHODS, Task, in_stages, plan

_CAP_SECONDS, _QUICK_CAP_SECONDS, _QUICK_ROWS = 300, 30, 1_100


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, print the tables, check the bounds."""
    options = _options(arguments)
    sources = [each for each in SOURCES if each.half == options.half and each.name in (options.tables or [each.name])]
    if missing := tell_missing(modules_of(options.methods, sources)):
        print(missing, file=sys.stderr)
        return 2
    code = key_of_code(ROOT)
    counts = options.half == "reported" and OURS in options.methods and not options.found
    if counts:
        try:
            record.begin(record.PATH, record.clean_commit(ROOT, CODE), code)
        except record.RecordError as error:
            print(error, file=sys.stderr)
            return 2
    splits = [
        split for each in sources for split in write_splits(each, range(options.splits), options.cache / "splits")
    ]
    splits = [split for split in splits if split.rows <= options.most_rows]
    cells, kept = Cells(options.cache / "cells"), Kept(FOLDER)
    tasks = plan(splits, options.methods, code, options.cap_seconds, options.counted_seconds)
    try:
        found, served = _measure(tasks, cells, kept, options)
    finally:
        # Also of a run that is stopped.
        if options.keep:
            with_ours = options.half == "reported" and record.holds(record.PATH, code)
            for path in keep(tasks, cells, kept, with_ours=with_ours):
                print(f"kept in {path}", file=sys.stderr)
    findings = collect(found, splits, options.methods, served)
    judged = [*(judge(findings) if OURS in options.methods else []), *judge_curves(findings)]
    text = page(findings, judged, " ".join(["python", "-m", "benchmarks.tables", *(arguments or sys.argv[1:])]))
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text, encoding="utf-8")
    # Numbers of a part of the half would pass for those of the whole.
    if counts and options.splits == SPLITS and len(findings.tables) == sum(each.half == "reported" for each in SOURCES):
        record.end(record.PATH, code, {_name(each): each.verdict.measured for each in judged})
    return 0 if all_hold(judged) else 1


def _name(judged: Judged) -> str:
    """Of a bound; several differ in their rows only."""
    return f"{judged.verdict.what} {judged.verdict.rows}".strip()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--half", choices=("choosing", "reported"), default="choosing", help="default: choosing")
    parser.add_argument("--quick", action="store_true", help="small tables, one split, fits of at most 30 seconds")
    parser.add_argument("--splits", type=int, choices=range(1, SPLITS + 1), help=f"default: {SPLITS}")
    parser.add_argument("--most-rows", type=int, metavar="ROWS", help="only tables of at most so many rows")
    parser.add_argument("--tables", nargs="+", choices=[each.name for each in SOURCES], metavar="TABLE")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=DEFAULT_METHODS, metavar="METHOD")
    parser.add_argument("--cap-seconds", type=int, help=f"most CPU seconds of a peer's fit (default: {_CAP_SECONDS})")
    parser.add_argument("--jobs", type=int, default=1, help="how many fits run at a time (default: 1)")
    parser.add_argument("--found", action="store_true", help="measure nothing; show the tables that are complete")
    parser.add_argument("--keep", action="store_true", help="write cells to benchmarks/tables/measured, to commit")
    parser.add_argument("--cache", type=Path, default=Path("runs", "tables"), help="default: runs/tables")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to FILE too")
    options = parser.parse_args(arguments)
    if options.quick and options.half == "reported":
        parser.error("--quick is for the choosing half; each run on the reported half counts")
    options.methods = [method for method in METHODS if method in options.methods]
    options.splits = options.splits or (1 if options.quick else SPLITS)
    options.most_rows = options.most_rows or (_QUICK_ROWS if options.quick else sys.maxsize)
    # What was measured before costs nothing, so --quick shows it as the whole run does.
    options.counted_seconds = options.cap_seconds or _CAP_SECONDS
    options.cap_seconds = options.cap_seconds or (_QUICK_CAP_SECONDS if options.quick else _CAP_SECONDS)
    return options


def _measure(
    tasks: Sequence[Task], cells: Cells, kept: Kept, options: argparse.Namespace
) -> tuple[list[Cell], dict[tuple[str, int], Served]]:
    found, served = list[Cell](), find_served(tasks, cells, kept)
    for part in [list(tasks)] if options.found else in_stages(tasks):
        found += measure(part, cells, kept, options.jobs, _tell, timed=served, only_found=options.found)
        if not options.found:
            served |= time_served(part, cells, kept)
    return found, served


def _tell(cell: Cell) -> None:
    what = {
        "done": f"{cell.error:.4f} after {cell.fit_cpu_seconds:.1f} s",
        "capped": f"cut off at {cell.cap_seconds} s",
        "failed": f"FAILED: {last_line(cell.why)}",
    }[cell.status]
    rows = f", {cell.unanswered_rows} rows unanswered" if cell.unanswered_rows else ""
    print(f"{cell.table}/{cell.split} {cell.method}: {what}{rows}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # As Ctrl-C: the fits that run are ended too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped; the same command goes on with what is measured", file=sys.stderr)
        sys.exit(130)
