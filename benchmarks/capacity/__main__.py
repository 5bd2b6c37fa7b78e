"""Simulate how many replicas a load needs, with measured costs: ``python -m benchmarks.capacity --rate 20000``.

This is a planning tool. It knows the processor time of a request, a run and a row. It does not model the network, other
processes on the machine, or pauses. ``--check`` compares it with a real kan-serve.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.capacity.arrivals import Arrivals, Bursts, TraceError, poisson, read_trace
from benchmarks.capacity.check import check
from benchmarks.capacity.costs import CostError, Costs, from_json, from_results, measure
from benchmarks.capacity.simulation import BALANCERS, Fleet, Loss, Outcome, simulate
from benchmarks.common import servers
from benchmarks.common.load_job import LoadError
from benchmarks.common.markdown import render
from benchmarks.common.served_models import small
from benchmarks.common.servers import ServerError
from benchmarks.common.surroundings import surroundings

_MODULE = "benchmarks.capacity"
_PACKAGES = ("kan-serving", "grpcio", "onnxruntime", "numpy")
# For the measurement of costs; --check has its own.
_SECONDS, _ROUNDS = 1.0, 3
# A real replica keeps up with about 0.7 of the simulated rate (--check), and a machine's speed changes by a third.
_MARGIN = 1.5
_MOST_REPLICAS = 2**14  # With more replicas the simulated requests are too few for a result.


@dataclass(frozen=True)
class Tried:
    """The simulations of a number of replicas: one with all up, one with a replica killed in the middle.

    Attributes:
        replicas: Number of replicas.
        whole: The result with all replicas up.
        lost: The result with a replica killed.
        away_p99_seconds: p99 latency of only the requests that arrived or waited while a replica was away.
        away_refused_share: The share of these requests that was refused.
    """

    replicas: int
    whole: Outcome
    lost: Outcome
    away_p99_seconds: float
    away_refused_share: float

    def holds(self, p99_seconds: float) -> bool:
        """Whether p99 is at most this and every request is answered, also while a replica is away."""
        refused = self.whole.refused_share or self.lost.refused_share
        return not refused and max(self.whole.percentile_seconds(99), self.away_p99_seconds) <= p99_seconds


def attempt(arrivals: Arrivals, fleet: Fleet, costs: Costs, away_seconds: float) -> Tried:
    """Simulate the arrivals on a fleet twice: with all replicas up, and with one killed.

    Args:
        arrivals: The requests.
        fleet: The replicas.
        costs: The costs of a replica.
        away_seconds: How long the killed replica is away.
    """
    at_seconds = float(arrivals.seconds[-1]) / 2
    lost = simulate(arrivals, fleet, costs.seconds, Loss(at_seconds, away_seconds))
    over = arrivals.seconds + lost.latency_seconds < at_seconds
    latencies = lost.latency_seconds[~over & (arrivals.seconds < at_seconds + away_seconds)]
    answered = latencies[~np.isnan(latencies)]
    p99_seconds = float(np.percentile(answered, 99)) if len(answered) else math.nan
    whole = simulate(arrivals, fleet, costs.seconds)
    return Tried(fleet.replicas, whole, lost, p99_seconds, 1 - len(answered) / len(latencies))


def smallest(holds: Callable[[int], bool], least: int, most: int = _MOST_REPLICAS) -> int | None:
    """The smallest number from `least` to `most` that holds, by bisection; None if `most` does not hold."""
    below, above = least - 1, least
    while not holds(above):
        if above >= most:
            return None
        below, above = above, min(2 * above, most)
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if holds(middle) else (middle, above)
    return above


def table(tried: Sequence[Tried], p99_seconds: float) -> str:
    """The results as a table, one line per number of replicas."""
    head = [
        "N",
        "utilisation",
        "rows a run",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "shed",
        "one away: p99 ms",
        "no answer",
        "holds",
    ]
    body = [
        [
            f"{each.replicas:,}",
            f"{each.whole.utilisation:.0%}",
            f"{each.whole.rows_a_run:.1f}",
            *(_milliseconds(each.whole.percentile_seconds(percent)) for percent in (50, 95, 99)),
            f"{each.whole.refused_share:.2%}",
            _milliseconds(each.away_p99_seconds),
            f"{each.away_refused_share:.2%}",
            "yes" if each.holds(p99_seconds) else "no",
        ]
        for each in tried
    ]
    return render([head, *body])


def _milliseconds(seconds: float) -> str:
    return "–" if math.isnan(seconds) else f"{1e3 * seconds:.2f}"


def main() -> None:
    """Measure or read the costs, simulate numbers of replicas, print the table."""
    arguments = _arguments()
    print(surroundings(f"`{' '.join(['python', '-m', _MODULE, *sys.argv[1:]])}`", _PACKAGES), flush=True)
    try:
        if arguments.check:
            check(servers.front_ends())
            return
        arrivals = _arrivals(arguments)
        costs = _costs(arguments).slower(arguments.margin)
    except (CostError, LoadError, OSError, ServerError, TraceError) as error:
        sys.exit(f"the run failed: {error}")
    print(f"A replica ({arguments.front_end}), {arguments.margin:g} times what was measured: {costs}\n")
    rows = float(np.mean(arrivals.rows))
    print(f"{len(arrivals.seconds):,} requests, {arrivals.rate:,.0f} a second on average, {rows:.1f} rows each\n")

    tried: dict[int, Tried] = {}
    p99_seconds = 1e-3 * arguments.p99_ms

    def holds(replicas: int) -> bool:
        fleet = Fleet(replicas, arguments.balancer, arguments.max_batch_rows, arguments.max_queue_rows)
        tried[replicas] = attempt(arrivals, fleet, costs, arguments.away_seconds)
        return tried[replicas].holds(p99_seconds)

    if arguments.replicas:
        for replicas in arguments.replicas:
            holds(replicas)
        print(table(list(tried.values()), p99_seconds))
        return
    # The search starts at the number whose processor time is enough with full batches; fewer cannot hold.
    a_request = costs.request_seconds + rows * (costs.row_seconds + costs.run_seconds / arguments.max_batch_rows)
    found = smallest(holds, max(1, math.ceil(arrivals.rate * a_request)))
    print(table([tried[replicas] for replicas in sorted(tried)], p99_seconds))
    print(f"p99 ≤ {arguments.p99_ms:g} ms with one lost: {f'{found:,} replicas' if found else 'no number of replicas'}")


def _costs(arguments: argparse.Namespace) -> Costs:
    if arguments.costs is not None:
        return from_json(arguments.costs, arguments.front_end)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(small(Path(folder)), arguments.front_end, (), _ROUNDS, _SECONDS)
    return from_results(results, arguments.front_end)


def _arrivals(arguments: argparse.Namespace) -> Arrivals:
    if arguments.trace is not None:
        return read_trace(arguments.trace)
    bursts = Bursts(*arguments.bursts) if arguments.bursts else None
    return poisson(arguments.rate, arguments.requests, arguments.rows, bursts)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--rate", type=float, help="requests per second, as a Poisson process")
    what.add_argument("--trace", type=Path, metavar="CSV", help="replay a file with the columns seconds[,rows]")
    what.add_argument("--check", action="store_true", help="compare the simulation with a real kan-serve (7 minutes)")
    parser.add_argument("--rows", type=int, default=1, help="rows per request (with --rate)")
    parser.add_argument(
        "--requests", type=int, default=200_000, help="number of simulated requests (with --rate; %(default)s)"
    )
    parser.add_argument(
        "--bursts",
        type=float,
        nargs=3,
        metavar=("FACTOR", "EVERY_SECONDS", "SECONDS"),
        help="FACTOR times the rate for SECONDS out of EVERY_SECONDS (with --rate)",
    )
    parser.add_argument(
        "--replicas", type=int, nargs="+", metavar="N", help="simulate these numbers; else find the smallest that holds"
    )
    parser.add_argument(
        "--p99-ms", type=float, default=5.0, help="the largest p99 latency in the service (default: %(default)g)"
    )
    parser.add_argument("--margin", type=float, default=_MARGIN, help="factor on the costs (default: %(default)g)")
    parser.add_argument(
        "--away-seconds", type=float, default=10.0, help="how long a killed replica is away (%(default)g)"
    )
    parser.add_argument("--balancer", choices=BALANCERS, default="least requests", help="default: %(default)s")
    parser.add_argument("--front-end", choices=servers.FRONT_ENDS, default="grpcio", help="default: %(default)s")
    parser.add_argument("--max-batch-rows", type=int, default=512, help="as in kan-serve (default: %(default)s)")
    parser.add_argument("--max-queue-rows", type=int, default=8192, help="as in kan-serve (default: %(default)s)")
    parser.add_argument(
        "--costs",
        type=Path,
        metavar="FILE",
        help="costs from a file of benchmarks.serving --json; else they are measured (15 seconds)",
    )
    arguments = parser.parse_args()
    low = [
        name
        for name in ("rate", "rows", "requests", "p99_ms", "margin", "away_seconds", "max_batch_rows", "max_queue_rows")
        if (value := getattr(arguments, name)) is not None and not value > 0
    ]
    if low or min(arguments.replicas or [1]) < 1:
        parser.error(f"{', '.join(low) or 'replicas'}: wanted more than 0")
    if arguments.bursts and not (arguments.bursts[0] > 0 and 0 < arguments.bursts[2] < arguments.bursts[1]):
        parser.error("--bursts: wanted FACTOR > 0 and 0 < SECONDS < EVERY_SECONDS")
    return arguments


if __name__ == "__main__":
    main()
