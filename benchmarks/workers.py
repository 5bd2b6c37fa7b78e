"""What a second worker costs, and how evenly connections are spread over two.

    python -m benchmarks.workers

Servers with one and with two workers run side by side. Both get the load of 64 callers in turn: processor time a
request with two workers at most 1.1 times that with one. Then calls arrive by a schedule, evenly on fresh connections:
share of the weaker of two workers, median, at least 25 % with 16 connections and 35 % with 64. Without a schedule the
share would be that of the processor, which other work on the machine decides.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.common import servers
from benchmarks.common.load_job import Job
from benchmarks.common.load_process import LoadProcess
from benchmarks.common.markdown import render
from benchmarks.common.processes import tree
from benchmarks.common.served_models import PREDICT, ServedModel, small
from benchmarks.common.surroundings import surroundings
from benchmarks.common.verdict import Verdict
from service.metrics.shared.cells import TOTAL, read

_CALLERS = 64
_CONNECTIONS = (16, 64)
_LEAST_SHARES = {16: 0.25, 64: 0.35}
_MOST_CPU = 1.1
# Sets of fresh connections, each with so many requests a second for so long.
_SETS, _SET_SECONDS, _RATE = 25, 0.5, 600.0


def main() -> int:
    """Measure, and print tables. Gives 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="rounds of the loads (default: 9)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one load (default: 2)")
    parser.add_argument("--frontend", choices=servers.FRONT_ENDS, default="grpcio", help="front end (default: grpcio)")
    options = parser.parse_args()
    cpu: defaultdict[int, list[float]] = defaultdict(list)
    rates: defaultdict[int, list[float]] = defaultdict(list)
    shares: defaultdict[int, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        model = small(Path(folder))
        up = {
            count: stack.enter_context(
                servers.ours(str(count), "ours", model, options.frontend, "--workers", str(count))
            )
            for count in (1, 2)
        }
        load = stack.enter_context(LoadProcess())
        for _ in range(options.rounds):
            for count, server in up.items():
                result = load.run(_job(server, model, callers=_CALLERS, seconds=options.seconds))
                cpu[count].append(result.server_cpu)
                rates[count].append(result.rate)
        for _ in range(_SETS):
            for connections in _CONNECTIONS:
                before = answered_by_worker(up[2])
                load.run(_job(up[2], model, callers=1, seconds=_SET_SECONDS, rate=_RATE, connections=connections))
                shares[connections].append(weaker_share(before, answered_by_worker(up[2])))
    print(surroundings("python -m benchmarks.workers", ("grpcio", "onnxruntime")))
    rows = [
        [str(count), f"{1e6 * statistics.median(cpu[count]):.0f}", f"{statistics.median(rates[count]):.0f}"]
        for count in (1, 2)
    ]
    print(render([["workers", "CPU µs a request", "requests/s"], *rows]))
    table = [[str(each), f"{statistics.median(shares[each]):.0%}", f"{min(shares[each]):.0%}"] for each in _CONNECTIONS]
    print(render([["connections", "share of the weaker worker, median", "least"], *table]))
    return _judge(options.frontend, cpu, shares)


def answered_by_worker(server: servers.Server) -> list[float]:
    """Requests that each worker has answered, by the files of its counts."""
    counts: dict[Path, float] = {}
    for pid in tree(server.pid):
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        found = next((each for each in variables if each.startswith(b"KAN_SERVE_WORKER=")), None)
        if found is not None:
            folder = Path(json.loads(found.partition(b"=")[2])["folder"])
            numbers = [item for file in sorted(folder.iterdir()) for item in read(file).items()]
            counts[folder] = sum(number for path, number in numbers if path[0] == "answered" and path[-1] != TOTAL)
    return [counts[folder] for folder in sorted(counts)]


def weaker_share(before: Sequence[float], after: Sequence[float]) -> float:
    """The share of the worker that answered least meanwhile."""
    answered = [end - start for start, end in zip(before, after, strict=True)]
    return min(answered) / sum(answered)


def _job(server: servers.Server, model: ServedModel, **load: Any) -> Job:
    exchanges = model.exchanges("predict", 1, _CALLERS)
    return Job(*(server.address, server.pid, PREDICT, "predict", exchanges), **load)


def _judge(frontend: str, cpu: dict[int, list[float]], shares: dict[int, list[float]]) -> int:
    """Print whether the bounds hold."""
    ratio = statistics.median(two / one for one, two in zip(cpu[1], cpu[2], strict=True))
    verdicts = [Verdict(frontend, "CPU a request, two workers over one", "1 row", ratio, _MOST_CPU, at_most=True)]
    verdicts += [
        Verdict(
            *(frontend, f"share of the weaker, {connections} connections", "1 row"),
            *(statistics.median(shares[connections]), _LEAST_SHARES[connections]),
            at_most=False,
        )
        for connections in _CONNECTIONS
    ]
    for each in verdicts:
        word = "holds" if each.keeps(each.must) else "DOES NOT HOLD"
        print(f"{each.what}: {each.measured:.2f}, {'at most' if each.at_most else 'at least'} {each.must:g}: {word}")
    return 0 if all(each.keeps(each.must) for each in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
