"""Train from every random start, and print the tables: ``python -m benchmarks.paper.initialization``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.surroundings import surroundings
from benchmarks.paper.initialization.experiments import experiments
from benchmarks.paper.initialization.study import SEEDS, run_study
from benchmarks.paper.initialization.table import cells_of, equation_table, error_table, verdict_table
from training.threads import torch_threads

# Seeds and the share of the steps.
_FULL, _QUICK = (SEEDS, 1.0), (2, 0.02)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the file of results lacks, then print errors, equations and the verdict."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper.initialization", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two seeds and a fiftieth of the steps: says nothing")
    parser.add_argument("--results", type=Path, metavar="FILE", help="go on with FILE (default: in runs/)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these experiments, e.g. digits")
    options = parser.parse_args(arguments)
    seeds, share = _QUICK if options.quick else _FULL
    path = options.results or Path("runs", "initialization-quick.json" if options.quick else "initialization.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    plan = [each for each in experiments() if options.only is None or each.name in options.only]
    with torch_threads(1):
        results = run_study(plan, path, seeds, share)
    cells = cells_of(results)
    command = "python -m benchmarks.paper.initialization" + (" --quick" if options.quick else "")
    print(surroundings(f"`{command}` (one thread)", ("kan-serving", "torch", "scikit-learn")))
    print("\n".join([error_table(cells), equation_table(results), verdict_table(cells)]))
    print(f"{len(results)} runs, {sum(each.cpu_seconds for each in results) / 60:.0f} minutes of processor time")


if __name__ == "__main__":
    main()
