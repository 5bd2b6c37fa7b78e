"""Fit the tables by our default recipe and by its peers, and check every bound: ``python -m benchmarks.tables``.

Each fit is a process with one thread. What was measured before is kept (--cache), so that a run that was stopped goes
on. The exit code is 1 if a bound that must hold does not.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.surroundings import surroundings
from benchmarks.tables import record, table
from benchmarks.tables.bounds import Judged, judge
from benchmarks.tables.cells import CODE, Cell, Cells, key_of_code
from benchmarks.tables.findings import Findings, collect
from benchmarks.tables.measure import METHODS, measure, plan, time_served
from benchmarks.tables.methods.fits import ROOT
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.sources import SOURCES
from benchmarks.tables.splits import SPLITS, write_splits

_PACKAGES = ("kan-serving", "torch", "scikit-learn", "lightgbm", "interpret-core", "kanboost", "onnxruntime")
_CAP_SECONDS, _QUICK_CAP_SECONDS, _QUICK_ROWS = 300, 30, 1_100


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, print the tables, check the bounds."""
    options = _options(arguments)
    if options.half == "reported" and OURS in options.methods and not options.found:
        try:
            record.begin(record.PATH, record.clean_commit(ROOT, CODE), key_of_code(ROOT))
        except record.RecordError as error:
            print(error, file=sys.stderr)
            return 2
    sources = [each for each in SOURCES if each.half == options.half and each.name in (options.tables or [each.name])]
    splits = [
        split for each in sources for split in write_splits(each, range(options.splits), options.cache / "splits")
    ]
    if options.quick:
        splits = [split for split in splits if split.rows <= _QUICK_ROWS]
    cells = Cells(options.cache / "cells")
    tasks = plan(splits, options.methods, options.cap_seconds)
    found = measure(tasks, cells, options.jobs, _tell, only_found=options.found)
    served = time_served(tasks, cells, only_found=options.found)
    findings = collect(found, splits, options.methods, served)
    judged = list(judge(findings)) if OURS in options.methods else []
    text = _text(findings, judged, " ".join(["python", "-m", "benchmarks.tables", *(arguments or sys.argv[1:])]))
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text, encoding="utf-8")
    if options.half == "reported" and OURS in options.methods and not options.found:
        record.end(record.PATH, key_of_code(ROOT), {each.verdict.what: each.verdict.measured for each in judged})
    return 0 if all(each.verdict.keeps(each.verdict.must) for each in judged) else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--half", choices=("choosing", "reported"), default="choosing", help="default: choosing")
    parser.add_argument("--quick", action="store_true", help="small tables, one split, fits of at most 30 seconds")
    parser.add_argument("--splits", type=int, choices=range(1, SPLITS + 1), help=f"default: {SPLITS}")
    parser.add_argument("--tables", nargs="+", choices=[each.name for each in SOURCES], metavar="TABLE")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD")
    parser.add_argument("--cap-seconds", type=int, help=f"most CPU seconds of a peer's fit (default: {_CAP_SECONDS})")
    parser.add_argument("--jobs", type=int, default=1, help="how many fits run at a time (default: 1)")
    parser.add_argument("--found", action="store_true", help="measure nothing; show the tables that are complete")
    parser.add_argument("--cache", type=Path, default=Path("runs", "tables"), help="default: runs/tables")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to FILE too")
    options = parser.parse_args(arguments)
    if options.quick and options.half == "reported":
        parser.error("--quick is for the choosing half; each run on the reported half counts")
    options.methods = [method for method in METHODS if method in options.methods]
    options.splits = options.splits or (1 if options.quick else SPLITS)
    options.cap_seconds = options.cap_seconds or (_QUICK_CAP_SECONDS if options.quick else _CAP_SECONDS)
    return options


def _tell(cell: Cell) -> None:
    what = f"{cell.error:.4f} after {cell.fit_cpu_seconds:.1f} s" if cell.status == "done" else cell.status
    rows = f", {cell.unanswered_rows} rows unanswered" if cell.unanswered_rows else ""
    print(f"{cell.table}/{cell.split} {cell.method}: {what}{rows}", file=sys.stderr, flush=True)


def _text(findings: Findings, judged: Sequence[Judged], command: str) -> str:
    parts = [surroundings(f"`{command}` (one thread a fit)", _PACKAGES)]
    if findings.tables:
        parts += [
            table.error_tables(findings),
            table.score_table(findings, "Brier score", lambda cell: cell.scores["brier"], only_classes=True),
            table.score_table(findings, "CPU seconds of a fit", lambda cell: cell.fit_cpu_seconds),
            table.served_table(findings),
            table.summary_table(findings),
        ]
    parts.append(table.notes(findings))
    if judged:
        parts.append(table.verdict_table(judged))
    return "\n".join(part for part in parts if part)


if __name__ == "__main__":
    # As Ctrl-C: the fits that run are ended too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped; the same command goes on with what is measured", file=sys.stderr)
        sys.exit(130)
