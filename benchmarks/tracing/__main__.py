"""Measure what traces cost a request and check the bounds: ``python -m benchmarks.tracing``.

The exit code is 1 if a bound that must hold does not, or if an interval stays wider than wanted.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import servers
from benchmarks.common.markdown import bounds_row, render
from benchmarks.common.served_models import small
from benchmarks.common.surroundings import surroundings
from benchmarks.common.verdict import Verdict
from benchmarks.tracing.cost import WANTED_HALF_WIDTH, Cost, measure_cost

_PACKAGES = ("kan-serving", "grpcio", "protobuf", "onnxruntime", "opentelemetry-proto")
_FEWEST_ROUNDS, _MOST_ROUNDS = 30, 600
# Percent of a request's processor time that must hold, and that is aimed at, by share.
_BOUNDS = {0.0: (2.0, 1.0), 0.01: (4.0, 2.0)}


def main() -> None:
    """Measure, print the table, check the bounds."""
    front_ends = servers.front_ends()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracing", description=__doc__)
    parser.add_argument("--rounds", type=int, help=f"so many rounds (default: {_FEWEST_ROUNDS} to {_MOST_ROUNDS})")
    parser.add_argument("--only", choices=front_ends, help="one front end (default: all that are installed)")
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 2:
        parser.error(f"--rounds is {arguments.rounds}; wanted 2 or more")
    fewest, most = (arguments.rounds,) * 2 if arguments.rounds else (_FEWEST_ROUNDS, _MOST_ROUNDS)
    started = time.monotonic()
    command = " ".join(["python", "-m", "benchmarks.tracing", *sys.argv[1:]])
    print(surroundings(f"`{command}`", _PACKAGES), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        model = small(Path(folder))
        found = {
            front_end: measure_cost(front_end, model, fewest, most)
            for front_end in ([arguments.only] if arguments.only else front_ends)
        }
    rows = [["front end", "share", "CPU a request, µs", "above no traces, %", "rounds", "spans", "must", "", "aim", ""]]
    missed = 0
    for front_end, costs in found.items():
        for cost in costs:
            verdict = _verdict(front_end, cost)
            missed += not verdict.keeps(verdict.must) or cost.half_width > WANTED_HALF_WIDTH
            percent = f"{cost.percent:+.2f} ± {cost.half_width:.2f}"
            measured = [f"{cost.share:g}", f"{1e6 * cost.seconds:.1f}", percent, str(cost.rounds), str(cost.spans)]
            rows.append([front_end, *measured, *bounds_row(verdict)])
    print(render(rows))
    print(f"{missed} bounds are missed or not sure; {time.monotonic() - started:.0f} s")
    sys.exit(1 if missed else 0)


def _verdict(front_end: str, cost: Cost) -> Verdict:
    must, aim = _BOUNDS[cost.share]
    return Verdict(front_end, "traces", "1 row, 16 callers", cost.percent, must, at_most=True, aim=aim)


if __name__ == "__main__":
    main()
