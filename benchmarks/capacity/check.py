"""Compare the simulation with a real kan-serve, in one run: the costs, and other loads that follow a schedule."""

import math
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.capacity.arrivals import poisson
from benchmarks.capacity.costs import Costs, from_results, measure
from benchmarks.capacity.simulation import Fleet, simulate
from benchmarks.common.markdown import render
from benchmarks.common.served_models import small
from benchmarks.serving.contenders import server_name
from benchmarks.serving.loads import Load, Results

_ROUNDS, _SECONDS = 5, 1.0
_REQUESTS = 200_000
_SHARES = (0.3, 0.6)


def check(front_ends: Sequence[str]) -> None:
    """Measure each front end, simulate the same rates, print both.

    Raises:
        CostError, LoadError, ServerError: a front end could not be measured.
    """
    loads = [
        Load(f"Predict by a schedule, {share:.0%} of capacity", "predict", 1, 64, ("ours",), of_capacity=share)
        for share in _SHARES
    ]
    body = []
    with tempfile.TemporaryDirectory() as folder:
        model = small(Path(folder))
        for front_end in front_ends:
            results = measure(model, front_end, loads, _ROUNDS, _SECONDS)
            costs = from_results(results, front_end)
            print(f"- A replica ({front_end}): {costs}; {_capacity(results, front_end, loads, costs)}", flush=True)
            body += [_row(results, front_end, load, costs) for load in loads]
    head = ["front end", "load", "requests/s"]
    for what in ("p50 ms", "p99 ms", "rows a run", "core in use"):
        head += [what, "simulated"]
    print(f"\n{render([head, *body])}")


def _capacity(results: Results, front_end: str, loads: Sequence[Load], costs: Costs) -> str:
    """The measured rate that a replica keeps up with, and the rate that its costs give for full batches."""
    seen = [seen.rate / load.of_capacity for load in loads for seen in results.seen[server_name(front_end), load]]
    found, rows = statistics.median(rate for rate in seen if not math.isnan(rate)), Fleet(1).max_batch_rows
    return f"it keeps up with {found:,.0f} requests/s, simulated {rows / costs.seconds(rows, rows):,.0f}"


def _row(results: Results, front_end: str, load: Load, costs: Costs) -> list[str]:
    """The measured numbers (median and range over the rounds) and the simulated ones for the same rate."""
    name = server_name(front_end)
    seen = [each for each in results.seen[name, load] if not math.isnan(each.rate)]
    rate = statistics.median(each.rate for each in seen)
    simulated = simulate(poisson(rate, _REQUESTS), Fleet(1), costs.seconds)
    busy = [each.server_cpu_seconds / each.seconds for each in seen]
    return [
        front_end,
        load.name,
        _range([each.rate for each in seen], ",.0f"),
        _range([1e3 * each.p50_seconds for each in seen], ".2f"),
        f"{1e3 * simulated.percentile_seconds(50):.2f}",
        _range([1e3 * each.p99_seconds for each in seen], ".2f"),
        f"{1e3 * simulated.percentile_seconds(99):.2f}",
        _range(results.batch_rows[name, load], ".1f"),
        f"{simulated.rows_a_run:.1f}",
        _range(busy, ".0%"),
        f"{simulated.utilisation:.0%}",
    ]


def _range(values: Sequence[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"
