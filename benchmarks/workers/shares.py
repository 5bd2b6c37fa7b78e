"""The share of the weaker of two workers, over fresh starts of the server and of the Envoy before it.

With connections of its own a server gets calls by a schedule, evenly on each connection: with callers that wait for
answers the share would be that of the processor, which other work on the machine decides. Through Envoy callers wait:
which connection gets a call is up to Envoy, and depends on the open calls.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.common import servers
from benchmarks.common.load_job import Job
from benchmarks.common.load_process import LoadProcess
from benchmarks.common.processes import tree
from benchmarks.common.served_models import PREDICT, ServedModel
from benchmarks.workers.callers import Callers
from benchmarks.workers.compose_envoy import envoy_before
from benchmarks.workers.cost import CALLERS, CALLERS_A_CONNECTION
from service.metrics.shared.cells import TOTAL, read

CONNECTIONS = (16, 64)
THROUGH_ENVOY = "Envoy"
THROUGH_ENVOY_ALONE = "Envoy, one connection"
_WORKERS = 2
_SECONDS, _RATE = 0.5, 600.0


def measure_shares(front_end: str, model: ServedModel, starts: int) -> dict[int | str, list[float]]:
    """The shares of the weaker worker, one for each fresh start.

    Args:
        front_end: Of the servers.
        model: What they serve.
        starts: How often a server, and Envoy, are started.

    Returns:
        By number of connections; through Envoy by THROUGH_ENVOY, 64 callers a worker on connections of 16, and by
        THROUGH_ENVOY_ALONE, one connection with 64 callers.
    """
    shares: defaultdict[int | str, list[float]] = defaultdict(list)
    with LoadProcess() as load:
        for start in range(1, starts + 1):
            with servers.ours("2 workers", "ours", model, front_end, "--workers", str(_WORKERS)) as server:
                for connections in CONNECTIONS:
                    with _counting(server, shares[connections]):
                        load.run(_job(server, model, connections))
                ours = _WORKERS * CALLERS
                for name, callers, connections in (
                    (THROUGH_ENVOY, ours, ours // CALLERS_A_CONNECTION),
                    (THROUGH_ENVOY_ALONE, CALLERS, 1),
                ):
                    with (
                        envoy_before([server.address], model) as envoy,
                        closing(Callers([envoy.address] * connections, model, callers)) as asked,
                        _counting(server, shares[name]),
                    ):
                        asked.ask(_SECONDS)
            latest = ", ".join(f"{name}: {found[-1]:.0%}" for name, found in shares.items())
            print(f"shares, {front_end}: start {start}: {latest}", file=sys.stderr, flush=True)
    return dict(shares)


@contextmanager
def _counting(server: servers.Server, shares: list[float]) -> Iterator[None]:
    """Append the share of the weaker worker during the block."""
    before = _answered_by_worker(server)
    yield
    shares.append(weaker_share(before, _answered_by_worker(server)))


def weaker_share(before: Sequence[float], after: Sequence[float]) -> float:
    """The share of the worker that answered least meanwhile."""
    answered = [end - start for start, end in zip(before, after, strict=True)]
    return min(answered) / sum(answered)


def _answered_by_worker(server: servers.Server) -> list[float]:
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


def _job(server: servers.Server, model: ServedModel, connections: int) -> Job:
    """Calls by a schedule, evenly on fresh connections."""
    exchanges = model.exchanges("predict", 1, CALLERS)
    return Job(
        *(server.address, server.pid, PREDICT, "predict", exchanges),
        callers=1,
        seconds=_SECONDS,
        rate=_RATE,
        connections=connections,
    )
