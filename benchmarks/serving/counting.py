"""What counting served rows for drift costs: processor time of a request with it, over that without.

Two servers of the same model run all the time, one with `--drift off`. Slices of a load on one and the other alternate,
and each two give a ratio. The speed of a shared processor varies by a tenth from one second to the next, so slices are
short, and processor time is that of the scheduler, in nanoseconds: /proc/PID/stat has ticks of 10 ms. Pairs follow
until their median is known well enough.
"""

import gc
import math
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.common import servers
from benchmarks.common.served_models import ServedModel
from benchmarks.common.side_by_side import Asked

_SLICE_SECONDS, _WARM_UP_SECONDS = 0.02, 1.0
_FEWEST_PAIRS, _MOST_PAIRS, _QUICK_PAIRS = 1_000, 30_000, 20
# From the median distance to the median, and from the mean's error to the median's, of a normal distribution.
_DEVIATION, _MEDIAN_ERROR = 1.4826, 1.2533
_WANTED_HALF_WIDTH = 0.5
# The median of all pairs is found again after so many more.
_LOOK_EVERY = 100


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


def measure_counting(front_end: str, model: ServedModel, *, quick: bool) -> Counting:
    """Alternate slices of a load of 16 callers with one row each on both servers.

    Args:
        front_end: Of both servers.
        model: Has histograms of its training rows and answers.
        quick: Few pairs, to see that it works.
    """
    times: list[tuple[float, float]] = []
    with ExitStack() as stack:
        on, off = (
            Asked(
                stack,
                stack.enter_context(servers.ours(f"drift {drift}", "ours", model, front_end, "--drift", drift)),
                model,
            )
            for drift in ("on", "off")
        )
        for asked in (on, off):  # the first load also fills caches
            asked.request_seconds(_WARM_UP_SECONDS)
        gc.disable()  # a collection here would delay the open calls
        stack.callback(gc.enable)
        for number in range(_QUICK_PAIRS if quick else _MOST_PAIRS):
            found = {asked: asked.request_seconds(_SLICE_SECONDS) for asked in ((on, off) if number % 2 else (off, on))}
            times.append((found[on], found[off]))
            may_end = len(times) >= _FEWEST_PAIRS and len(times) % _LOOK_EVERY == 0
            if may_end and _half_width(times) <= _WANTED_HALF_WIDTH:
                break
    print(f"counting on over off, {front_end}: {len(times)} pairs are done", file=sys.stderr, flush=True)
    on_seconds, off_seconds = (statistics.median(each) for each in zip(*times, strict=True))
    return Counting(statistics.median(_percents(times)), _half_width(times), len(times), on_seconds, off_seconds)


def _percents(times: list[tuple[float, float]]) -> list[float]:
    return [100 * (on / off - 1) for on, off in times]


def _half_width(times: list[tuple[float, float]]) -> float:
    """Of the 95 % interval of the median, in percent; pairs that were disturbed do not widen it."""
    percents = _percents(times)
    middle = statistics.median(percents)
    deviation = _DEVIATION * statistics.median(abs(percent - middle) for percent in percents)
    return 1.96 * _MEDIAN_ERROR * deviation / math.sqrt(len(times))
