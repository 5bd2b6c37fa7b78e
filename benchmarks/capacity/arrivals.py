"""Arrival times and rows of requests: random, in bursts, or from a recorded trace."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class TraceError(Exception):
    """A trace cannot be replayed."""


@dataclass(frozen=True)
class Arrivals:
    """Requests in order.

    Args:
        seconds: [requests], the arrival times, ascending from 0 or more.
        rows: [requests], the rows of each, 1 or more.
    """

    seconds: NDArray[np.float64]
    rows: NDArray[np.int64]

    @property
    def rate(self) -> float:
        """Requests per second, on average."""
        return len(self.seconds) / float(self.seconds[-1])


@dataclass(frozen=True)
class Bursts:
    """Periods with a higher rate.

    Args:
        factor: The rate in a burst, as a multiple of the rate outside.
        every_seconds: Time from the start of a burst to the start of the next.
        seconds: Length of a burst, less than `every_seconds`.
    """

    factor: float
    every_seconds: float
    seconds: float


def poisson(rate: float, count: int, rows: int = 1, bursts: Bursts | None = None, seed: int = 0) -> Arrivals:
    """Independent requests: a Poisson process.

    Args:
        rate: Requests per second outside of bursts.
        count: Number of requests.
        rows: Rows per request.
        bursts: Periods with a higher rate, each at the end of its cycle; None: there are none.
        seed: Seed of the random numbers.
    """
    # A process of rate 1 whose time runs faster in bursts.
    expected = np.cumsum(np.random.default_rng(seed).exponential(size=count))
    if bursts is None:
        seconds = expected / rate
    else:
        calm_seconds = bursts.every_seconds - bursts.seconds
        calm = rate * calm_seconds
        cycle = calm + rate * bursts.factor * bursts.seconds
        cycles, rest = np.divmod(expected, cycle)
        seconds = cycles * bursts.every_seconds + np.interp(
            rest, [0, calm, cycle], [0, calm_seconds, bursts.every_seconds]
        )
    return Arrivals(seconds, np.full(count, rows, np.int64))


def read_trace(path: Path) -> Arrivals:
    """Read a recorded trace: a CSV file with the header "seconds" or "seconds,rows"; without rows each request has 1.

    The times may start at any number; they are shifted so that the first request arrives at 0.

    Raises:
        TraceError: the file is not such a table. The message names the line.
    """
    seconds: list[float] = []
    rows: list[int] = []
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        if "seconds" not in (table.fieldnames or ()):
            raise TraceError(f"{path}: the first line is {table.fieldnames}; wanted seconds or seconds,rows")
        for line in table:
            try:
                seconds.append(float(line["seconds"]))
                rows.append(int(line.get("rows", 1)))
            except (TypeError, ValueError) as error:
                raise TraceError(f"{path}, line {table.line_num}: {error}") from error
            if rows[-1] < 1 or not seconds[-1] < np.inf or (len(seconds) > 1 and not seconds[-1] >= seconds[-2]):
                raise TraceError(f"{path}, line {table.line_num}: wanted finite seconds that never fall, and rows ≥ 1")
    if len(seconds) < 2 or seconds[-1] == seconds[0]:
        raise TraceError(f"{path} holds {len(seconds)} requests; wanted two or more, over some time")
    return Arrivals(np.array(seconds) - seconds[0], np.array(rows))
