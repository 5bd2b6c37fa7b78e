"""Measure the calibration error of served probabilities beside LightGBM's: ``python -m benchmarks.calibration``.

The exit code is 1 if ours is larger over all rows.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.calibration.answers import find_or_measure
from benchmarks.calibration.cost import costs
from benchmarks.calibration.page import cost_table, holds, page, truth_table
from benchmarks.calibration.tables import TABLES
from benchmarks.calibration.truth import ROW_COUNTS, measure
from benchmarks.tables.splits import SPLITS, write_splits


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, print the table, check the bound."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=[each.name for each in TABLES], metavar="TABLE")
    parser.add_argument("--splits", type=int, choices=range(1, SPLITS + 1), default=SPLITS, help=f"default: {SPLITS}")
    parser.add_argument("--cache", type=Path, default=Path("runs", "calibration"), help="default: runs/calibration")
    parser.add_argument("--cost", action="store_true", help="only the times of divided scores beside undivided ones")
    parser.add_argument("--truth", type=int, nargs="*", metavar="ROWS", help="only beside known probabilities")
    options = parser.parse_args(arguments)
    if options.cost:
        print(cost_table(costs()))
        return 0
    if options.truth is not None:
        for overfitted in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                fits = [
                    list(measure(rows, Path(folder), overfitted=overfitted)) for rows in options.truth or ROW_COUNTS
                ]
            print("Overfitted members:" if overfitted else "Members at the best step:")
            print(truth_table(fits), flush=True)
        return 0
    found = {}
    for source in TABLES:
        if source.name not in (options.tables or [source.name]):
            continue
        splits = write_splits(source, range(options.splits), options.cache / "splits")
        answers = []
        for split in splits:
            answers.append(find_or_measure(split, options.cache))
            print(f"{source.name}/{split.number}", file=sys.stderr, flush=True)
        found[source.name] = answers
    print(page(found))
    return 0 if holds(found) else 1


if __name__ == "__main__":
    sys.exit(main())
