"""What a promise costs in accuracy, and where it helps: monotone columns on five real tables and on known truths.

python -m benchmarks.monotone
python -m benchmarks.monotone --regimes
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.markdown import render
from benchmarks.common.surroundings import surroundings
from benchmarks.monotone.cases import CASES
from benchmarks.monotone.fits import kans, trees
from benchmarks.monotone.outcome import compare
from benchmarks.monotone.page import CASES_HEAD, case_line, regime_table, worst_turned
from benchmarks.monotone.regimes import measure_all
from benchmarks.monotone.truths import TRUTHS


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monotone", description=__doc__.partition("\n")[0])
    parser.add_argument("--splits", type=int, default=5, help="random splits of each table (default: 5)")
    parser.add_argument("--tables", nargs="+", choices=[each.name for each in CASES], metavar="TABLE")
    parser.add_argument("--regimes", action="store_true", help="known truths by number of rows and by noise instead")
    parser.add_argument("--draws", type=int, default=20, help="draws of each regime, 3 at least (default: 20)")
    parser.add_argument("--truths", nargs="+", choices=[each.name for each in TRUTHS], metavar="TRUTH")
    parser.add_argument("--cache", type=Path, default=Path("runs", "monotone"), help="default: runs/monotone")
    options = parser.parse_args(arguments)
    command = " ".join(["python -m benchmarks.monotone", *(sys.argv[1:] if arguments is None else arguments)])
    head = surroundings(command, ["scikit-learn", "torch"])
    print(head, _regimes(options) if options.regimes else _tables(options), sep="\n")
    return 0


def _tables(options: argparse.Namespace) -> str:
    lines = [list(CASES_HEAD)]
    for case in CASES:
        if options.tables is None or case.name in options.tables:
            numbers = range(options.splits)
            found = [
                [compare(case, number, make(number, is_classes=case.is_classes)) for number in numbers]
                for make in (kans, trees)
            ]
            lines.append(case_line(case, *found))
            print(*lines[-1], sep=" | ", file=sys.stderr, flush=True)
    return render(lines)


def _regimes(options: argparse.Namespace) -> str:
    truths = [truth for truth in TRUTHS if options.truths is None or truth.name in options.truths]
    measured = list(measure_all(truths, options.draws, options.cache / "regimes.jsonl"))
    tables = [f"{truth.name}:\n\n{regime_table(truth, measured)}" for truth in truths]
    worst = f"With the promise the largest share of rows that went the wrong way was {worst_turned(measured):.2%}.\n"
    return "\n".join([*tables, worst])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
