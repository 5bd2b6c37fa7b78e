"""What a request, a run and a row cost one replica, from measured loads.

Processor time a request = request + run · runs a request + row · rows a request: three unknowns, by least squares over
loads that differ in both. A run's share is more than the model's: it is all that happens once for those who come
together, the waking and the reading too.
"""

import json
import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from benchmarks.common import servers
from benchmarks.common.served_models import ServedModel
from benchmarks.serving.contenders import server_name
from benchmarks.serving.loads import INFER_ROWS, ONE_RAW, SIXTEEN, SIXTY_FOUR, Load, Results, run_rounds

# They come from nobody's own client, and are the same in benchmarks.serving.
LOADS = (ONE_RAW, SIXTEEN, SIXTY_FOUR, INFER_ROWS)

# Smallest singular value of loads that differ.
_APART = 0.1


class CostError(Exception):
    """The costs cannot be told from what was measured."""


@dataclass(frozen=True)
class Point:
    """One load.

    Args:
        cpu_seconds: Of the server's whole tree, for each request.
        runs: For each request: less than 1 where several share one.
        rows: Of each request.
    """

    cpu_seconds: float
    runs: float
    rows: float


@dataclass(frozen=True)
class Costs:
    """Seconds of a replica's core.

    Attributes:
        request_seconds, run_seconds, row_seconds: For each.
        misfit: How far the worst of the loads is from what they say, as a share of it.
    """

    request_seconds: float
    run_seconds: float
    row_seconds: float
    misfit: float = 0.0

    def seconds(self, requests: int, rows: int) -> float:
        """Of one run."""
        return self.run_seconds + self.request_seconds * requests + self.row_seconds * rows

    def __str__(self) -> str:
        request, run, row = (1e6 * each for each in (self.request_seconds, self.run_seconds, self.row_seconds))
        off = f"the worst load is {self.misfit:.0%} off"
        return f"{request:.0f} µs a request, {run:.0f} µs a run, {row:.2f} µs a row; {off}"

    def slower(self, factor: float) -> "Costs":
        """The same where everything takes so many times as long."""
        request, run, row = (factor * each for each in (self.request_seconds, self.run_seconds, self.row_seconds))
        return Costs(request, run, row, self.misfit)


def fit(points: Sequence[Point]) -> Costs:
    """Costs that miss the points by as little as can be, each by its share; none below 0.

    Raises:
        CostError: The points do not tell the three apart.
    """
    wanted = np.array([point.cpu_seconds for point in points])
    parts = np.array([(1.0, point.runs, point.rows) for point in points]).reshape(-1, 3)
    # In units of the largest: loads that differ by their noise alone do not count as different.
    if len(points) < 3 or np.linalg.matrix_rank(parts / parts.max(axis=0), tol=_APART) < 3:
        raise CostError(f"{len(points)} loads do not tell request, run and row apart: {points}")
    found, _ = nnls(parts / wanted[:, None], np.ones(len(points)))
    misfit = float(np.abs(parts @ found / wanted - 1).max())
    request, run, row = map(float, found)
    return Costs(request, run, row, misfit)


def from_results(results: Results, front_end: str) -> Costs:
    """From what run_rounds saw of :data:`LOADS`.

    Raises:
        CostError: As in fit.
    """
    name = server_name(front_end)
    points = []
    for load in LOADS:
        cpu_seconds = results.median(name, load, "server_cpu")
        assert cpu_seconds is not None
        points.append(Point(cpu_seconds, load.rows / statistics.median(results.batch_rows[name, load]), load.rows))
    return fit(points)


def from_json(path: Path, front_end: str) -> Costs:
    """From the file that ``python -m benchmarks.serving --json FILE`` wrote.

    Raises:
        CostError: The file lacks those loads.
    """
    known = {load.name: load for load in LOADS}
    points = []
    for found in json.loads(path.read_text(encoding="utf-8"))["loads"]:
        if found["server"] != server_name(front_end) or found["load"] not in known:
            continue
        if not found.get("rows_a_run"):
            raise CostError(f"{path} does not say how many rows a run had: an earlier version wrote it")
        load = known[found["load"]]
        cpu_seconds = statistics.median(seen["server_cpu_seconds"] / seen["requests"] for seen in found["rounds"])
        points.append(Point(cpu_seconds, load.rows / statistics.median(found["rows_a_run"]), load.rows))
    return fit(points)


def measure(model: ServedModel, front_end: str, more: Sequence[Load], rounds: int, seconds: float) -> Results:
    """A real kan-serve under :data:`LOADS` and some more, on a core of its own where there are two: a replica is one.

    Args:
        model: What it serves.
        front_end: "grpcio" or "envoy".
        more: Loads beside them, in the same rounds.
        rounds: How often each.
        seconds: Length of each.

    Raises:
        ServerError, LoadError: It did not start, or answered wrong.
    """
    cores = sorted(os.sched_getaffinity(0))
    with (
        _on(cores[:1]),
        servers.ours(server_name(front_end), "ours", model, front_end) as server,
        _on(cores[1:] or cores),
    ):
        return run_rounds([(server, model)], (*LOADS, *more), rounds, seconds)


@contextmanager
def _on(cores: list[int]) -> Iterator[None]:
    """Processes started meanwhile stay on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
