"""The processor time of a request, a run and a row in one replica, from measured loads.

Processor time per request = request + run · (runs per request) + row · (rows per request). The three unknowns come from
least squares over loads that differ in both. The cost of a run is more than the model's: it includes all work that is
done once for requests that arrive together, such as waking up and reading.
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

# None of these uses grpc's own client. They are the same as in benchmarks.serving.
LOADS = (ONE_RAW, SIXTEEN, SIXTY_FOUR, INFER_ROWS)

# Loads count as different if their smallest singular value is above this.
_APART = 0.1


class CostError(Exception):
    """The costs cannot be computed from the measured loads."""


@dataclass(frozen=True)
class Point:
    """The measurement of one load.

    Args:
        cpu_seconds: Processor time of the server's tree of processes, per request.
        runs: Runs per request: less than 1 if several requests share a run.
        rows: Rows per request.
    """

    cpu_seconds: float
    runs: float
    rows: float


@dataclass(frozen=True)
class Costs:
    """Processor time on a replica's core.

    Attributes:
        request_seconds: Per request.
        run_seconds: Per run.
        row_seconds: Per row.
        misfit: The largest relative error of the fit over the loads.
    """

    request_seconds: float
    run_seconds: float
    row_seconds: float
    misfit: float = 0.0

    def seconds(self, requests: int, rows: int) -> float:
        """Processor time of one run with this many requests and rows."""
        return self.run_seconds + self.request_seconds * requests + self.row_seconds * rows

    def __str__(self) -> str:
        request, run, row = (1e6 * each for each in (self.request_seconds, self.run_seconds, self.row_seconds))
        off = f"the worst load is {self.misfit:.0%} off"
        return f"{request:.0f} µs per request, {run:.0f} µs per run, {row:.2f} µs per row; {off}"

    def slower(self, factor: float) -> "Costs":
        """The costs of a replica on which everything takes `factor` times as long."""
        request, run, row = (factor * each for each in (self.request_seconds, self.run_seconds, self.row_seconds))
        return Costs(request, run, row, self.misfit)


def fit(points: Sequence[Point]) -> Costs:
    """The costs, 0 or more, that fit the points best in relative error.

    Raises:
        CostError: the points do not determine the three costs.
    """
    wanted = np.array([point.cpu_seconds for point in points])
    parts = np.array([(1.0, point.runs, point.rows) for point in points]).reshape(-1, 3)
    # In units of the largest, so that loads that differ only by noise do not count as different.
    if len(points) < 3 or np.linalg.matrix_rank(parts / parts.max(axis=0), tol=_APART) < 3:
        raise CostError(f"{len(points)} loads do not tell request, run and row apart: {points}")
    found, _ = nnls(parts / wanted[:, None], np.ones(len(points)))
    misfit = float(np.abs(parts @ found / wanted - 1).max())
    request, run, row = map(float, found)
    return Costs(request, run, row, misfit)


def from_results(results: Results, front_end: str) -> Costs:
    """The costs from the results of run_rounds for :data:`LOADS`.

    Raises:
        CostError: as in fit.
    """
    name = server_name(front_end)
    points = []
    for load in LOADS:
        cpu_seconds = results.median(name, load, "server_cpu")
        assert cpu_seconds is not None
        points.append(Point(cpu_seconds, load.rows / statistics.median(results.batch_rows[name, load]), load.rows))
    return fit(points)


def from_json(path: Path, front_end: str) -> Costs:
    """The costs from a file that ``python -m benchmarks.serving --json FILE`` wrote.

    Raises:
        CostError: the file lacks these loads.
    """
    known = {load.name: load for load in LOADS}
    points = []
    for found in json.loads(path.read_text(encoding="utf-8"))["loads"]:
        if found["server"] != server_name(front_end) or found["load"] not in known:
            continue
        if not found.get("rows_a_run"):
            raise CostError(f"{path} has no numbers of rows per run; wanted a file of this version of the benchmark")
        load = known[found["load"]]
        cpu_seconds = statistics.median(seen["server_cpu_seconds"] / seen["requests"] for seen in found["rounds"])
        points.append(Point(cpu_seconds, load.rows / statistics.median(found["rows_a_run"]), load.rows))
    return fit(points)


def measure(model: ServedModel, front_end: str, more: Sequence[Load], rounds: int, seconds: float) -> Results:
    """Measure a real kan-serve under :data:`LOADS` and more loads. With two cores or more it runs on one alone.

    Args:
        model: The model to serve.
        front_end: "grpcio" or "envoy".
        more: Further loads, in the same rounds.
        rounds: Number of rounds.
        seconds: Length of each load.

    Raises:
        ServerError, LoadError: the server did not start, or gave a wrong answer.
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
    """Pin processes that are started inside the `with` block to these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
