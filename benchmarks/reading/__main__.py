"""Read and encode a large table in two ways and check the bounds: ``python -m benchmarks.reading``.

The exit code is 1 if a bound that must hold does not, or if the ways give different features.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.common.markdown import bounds_row, render
from benchmarks.common.surroundings import surroundings
from benchmarks.common.verdict import Verdict
from benchmarks.reading.large_table import write_recipe, write_table
from benchmarks.reading.measure import WAYS, Cost, measure

_FULL, _QUICK = (1_000_000, 3), (100_000, 3)
_MOST_SECONDS, _MOST_MIB = 10.0, 1024.0


def main() -> None:
    """Measure both ways in turn, print the tables, check the bounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100,000 rows instead of a million")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to FILE too")
    arguments = parser.parse_args()
    rows, rounds = _QUICK if arguments.quick else _FULL
    costs: dict[str, list[Cost]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        table, recipe = Path(folder) / "large.csv", Path(folder) / "large.toml"
        write_table(table, rows)
        write_recipe(recipe, table)
        for _ in range(rounds):
            for way, found in costs.items():
                found.append(measure(way, recipe))
    medians = {way: _median(found) for way, found in costs.items()}
    quick, slow = medians.values()
    verdicts = [
        _verdict("seconds", rows, quick.seconds, _MOST_SECONDS, at_most=True),
        _verdict("MiB", rows, quick.mib, _MOST_MIB, at_most=True),
        _verdict("× faster than the csv module", rows, slow.seconds / quick.seconds, 2.0, at_most=False),
        _verdict("memory / that of the csv module", rows, quick.mib / slow.mib, 0.5, at_most=True),
    ]
    command = "python -m benchmarks.reading" + (" --quick" if arguments.quick else "")
    parts = [
        surroundings(f"`{command}`", ("kan-serving", "numpy", "pandas", "pyarrow")),
        f"{rows:,} rows, 20 columns, medians of {rounds} rounds:\n\n{_table(medians)}",
        render([["what", "measured", "must", "", "aim", ""], *map(_row, verdicts)]),
    ]
    print("\n".join(parts))
    if arguments.markdown is not None:
        arguments.markdown.write_text("\n".join(parts), encoding="utf-8")
    same = len({cost.fingerprint for found in costs.values() for cost in found}) == 1
    if not same:
        print("the ways gave different features", file=sys.stderr)
    sys.exit(0 if same and all(each.keeps(each.must) for each in verdicts) else 1)


def _median(costs: list[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.read_seconds for cost in costs),
        statistics.median(cost.seconds for cost in costs),
        statistics.median(cost.mib for cost in costs),
        costs[0].fingerprint,
    )


def _verdict(what: str, rows: int, measured: float, must: float, *, at_most: bool) -> Verdict:
    return Verdict("table", what, str(rows), measured, must, at_most=at_most)


def _table(costs: dict[str, Cost]) -> str:
    body = [[way, f"{cost.read_seconds:.1f}", f"{cost.seconds:.1f}", f"{cost.mib:,.0f}"] for way, cost in costs.items()]
    return render([["way", "read, CPU s", "read and encode, CPU s", "peak, MiB"], *body])


def _row(verdict: Verdict) -> list[str]:
    return [verdict.what, f"{verdict.measured:.2f}", *bounds_row(verdict)]


if __name__ == "__main__":
    main()
