"""When requests come and how many rows they bring: by chance, in bursts, or as somebody recorded them."""

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
        seconds: [requests], when each comes, from 0 on, never falling.
        rows: [requests], what each brings, 1 or more.
    """

    seconds: NDArray[np.float64]
    rows: NDArray[np.int64]

    @property
    def rate(self) -> float:
        """Requests a second, over the whole."""
        return len(self.seconds) / float(self.seconds[-1])


@dataclass(frozen=True)
class Bursts:
    """Times of more.

    Args:
        factor: How many times the rate it is then.
        every_seconds: From the start of one to the start of the next.
        seconds: How long one lasts, less than that.
    """

    factor: float
    every_seconds: float
    seconds: float


def poisson(rate: float, count: int, rows: int = 1, bursts: Bursts | None = None, seed: int = 0) -> Arrivals:
    """Requests that know nothing of one another: a Poisson process.

    Args:
        rate: Requests a second; outside bursts where there are some.
        count: Requests.
        rows: Of each.
        bursts: Times of more; a cycle ends with one.
        seed: Of the random numbers.
    """
    # A process of rate 1, its time stretched: it passes faster while there is more.
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
    """A recorded trace: a CSV file with the columns seconds and, where they are not always 1, rows; a head says so.

    Seconds may begin anywhere; here the first request comes at 0.

    Raises:
        TraceError: The file is not such a table; says which line.
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
