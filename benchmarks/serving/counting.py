"""What counting served rows for drift costs: processor time of a request with it, over that without.

Two servers of the same model run all the time, one with `--drift off`. Short loads on one and the other alternate, and
each pair gives a ratio. Pairs follow until their median is known well enough: a server's time for the same load varies
by a few percent from one second to the next, and by more where other work shares the cores.
"""

import math
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.common import servers
from benchmarks.common.load_job import Job
from benchmarks.common.load_process import LoadProcess
from benchmarks.common.served_models import PREDICT, ServedModel
from benchmarks.common.servers import Server

_CALLERS = 16
_FEWEST_PAIRS, _MOST_PAIRS = 30, 300
# From the median distance to the median, and from the mean's error to the median's, of a normal distribution.
_DEVIATION, _MEDIAN_ERROR = 1.4826, 1.2533
_WANTED_HALF_WIDTH = 0.5
_TRIES = 4


@dataclass(frozen=True)
class Counting:
    """The cost of counting.

    Attributes:
        percent: Processor time of a request with counting, above that without; the median over the pairs.
        half_width: Of the 95 % interval of `percent`.
        pairs: Number of pairs.
        on_seconds: The median processor time of a request with counting.
        off_seconds: The same without.
    """

    percent: float
    half_width: float
    pairs: int
    on_seconds: float
    off_seconds: float


def measure_counting(front_end: str, model: ServedModel, seconds: float, *, quick: bool) -> Counting:
    """Alternate loads of 16 callers with one row each on both servers.

    Args:
        front_end: Of both servers.
        model: Has histograms of its training rows and answers.
        seconds: Length of each load.
        quick: Two pairs, to see that it works.
    """
    times: list[tuple[float, float]] = []
    with ExitStack() as stack:
        on, off = (
            stack.enter_context(servers.ours(f"drift {drift}", "ours", model, front_end, "--drift", drift))
            for drift in ("on", "off")
        )
        generator = stack.enter_context(LoadProcess())
        for server in (on, off):  # the first load also fills caches
            _request_seconds(generator, server, model, seconds)
        for number in range(2 if quick else _MOST_PAIRS):
            order = (on, off) if number % 2 else (off, on)
            found = {server.name: _request_seconds(generator, server, model, seconds) for server in order}
            times.append((found[on.name], found[off.name]))
            if len(times) >= _FEWEST_PAIRS and _half_width(times) <= _WANTED_HALF_WIDTH:
                break
    print(f"counting on over off, {front_end}: {len(times)} pairs are done", file=sys.stderr, flush=True)
    on_seconds, off_seconds = (statistics.median(each) for each in zip(*times, strict=True))
    return Counting(statistics.median(_percents(times)), _half_width(times), len(times), on_seconds, off_seconds)


def _request_seconds(generator: LoadProcess, server: Server, model: ServedModel, seconds: float) -> float:
    """Processor time of one request; a load during which the host took time away is repeated."""
    exchanges = model.exchanges("predict", 1, _CALLERS)
    job = Job(server.address, server.pid, PREDICT, "predict", exchanges, _CALLERS, seconds=seconds)
    for _ in range(_TRIES):
        found = generator.run(job)
        if not found.stolen_seconds:
            break
    return found.server_cpu


def _percents(times: list[tuple[float, float]]) -> list[float]:
    return [100 * (on / off - 1) for on, off in times]


def _half_width(times: list[tuple[float, float]]) -> float:
    """Of the 95 % interval of the median, in percent; pairs that were disturbed do not widen it."""
    percents = _percents(times)
    middle = statistics.median(percents)
    deviation = _DEVIATION * statistics.median(abs(percent - middle) for percent in percents)
    return 1.96 * _MEDIAN_ERROR * deviation / math.sqrt(len(times))
