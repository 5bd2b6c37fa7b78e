"""Re-run claims of the paper: ``python -m benchmarks.paper NAME``. Of the results comes the page docs/is-it-true.md."""

import argparse
import datetime
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.paper.experiment import Experiment, Outcome
from benchmarks.paper.experiments import EXPERIMENTS
from benchmarks.paper.fresh import compare, fresh_runs, told
from benchmarks.paper.outcomes import FRESH, MEASURED, Outcomes, missing
from benchmarks.paper.page import check_page, write_page
from training.threads import torch_threads


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs that the file of results lacks, and print what they show."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"experiments: {', '.join(EXPERIMENTS)}")
    parser.add_argument("--quick", action="store_true", help="few and short runs, which say nothing; kept in runs/")
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="run one more seed, and say whether it lies within the spread of the others",
    )
    parser.add_argument("--cases", nargs="+", metavar="CASE", help="only these functions, equations or tables")
    parser.add_argument("--contenders", nargs="+", metavar="NAME", help="only these contenders")
    parser.add_argument("--cpu-seconds", type=float, metavar="S", help="begin no run after S seconds of processor time")
    parser.add_argument("--found", action="store_true", help="measure nothing; show what was found")
    parser.add_argument(
        "--page", action="store_true", help="write the page and its pictures, from the committed results"
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 if the page is not that of the results")
    options = parser.parse_args(arguments)
    if options.fresh and options.quick:
        parser.error("--fresh with --quick; a fresh seed of quick runs says nothing")
    if unknown := [name for name in options.names if name not in EXPERIMENTS]:
        parser.error(f"no experiment {unknown[0]!r}; wanted {', '.join(EXPERIMENTS)}")
    if options.check:
        return check_page()
    if options.page:
        write_page()
        return 0
    if not options.names:
        parser.print_help()
        return 0
    for name in options.names:
        experiment = EXPERIMENTS[name]
        folder = Path("runs", "paper") if options.quick else FRESH if options.fresh else MEASURED
        outcomes = Outcomes(folder / f"{name}.json", experiment)
        if not options.found:
            with torch_threads(1):
                _measure(experiment, outcomes, options)
        if options.fresh:
            others = Outcomes(MEASURED / f"{name}.json", experiment).load()
            print(told(compare(experiment, others, outcomes.load())) or f"{name}: nothing to compare yet")
            continue
        pictures = Path("runs", "paper", name)
        pictures.mkdir(parents=True, exist_ok=True)
        print(experiment.show(outcomes.load(), pictures) or f"{name}: too few runs are done to show anything")
    return 0


def _measure(experiment: Experiment, outcomes: Outcomes, options: argparse.Namespace) -> None:
    """Make the missing runs, one by one; each is kept at once."""
    runs = fresh_runs(experiment) if options.fresh else experiment.plan(options.quick)
    plan = [
        run
        for run in runs
        if (options.cases is None or run.case in options.cases)
        and (options.contenders is None or run.contender in options.contenders)
    ]
    todo = list(missing(plan, outcomes.load()))
    began, command = time.process_time(), f"python -m benchmarks.paper {experiment.name}{' --fresh' * options.fresh}"
    for number, run in enumerate(todo, start=1):
        if options.cpu_seconds is not None and time.process_time() - began > options.cpu_seconds:
            print(f"{len(todo) - number + 1} runs are left", file=sys.stderr)
            return
        start = time.process_time()
        numbers = experiment.measure(run, options.quick)
        taken = round(time.process_time() - start, 2)
        day = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
        outcomes.add(Outcome(run, numbers, taken, day), command)
        done = f"{len(plan) - len(todo) + number} of {len(plan)}"
        print(
            f"{experiment.name} {done}: {run.case}, {run.contender}, seed {run.seed}, {taken:.1f} CPU s",
            file=sys.stderr,
        )


if __name__ == "__main__":
    sys.exit(main())
