"""Time many candidates side by side, so that whatever else the machine does hits all of them alike."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_SAMPLE_SECONDS = 2e-3
_MAX_CALLS = 200
# From here on a call is so long that cold caches at its start do not show.
_LONG_CALL_SECONDS = 2e-2


@dataclass(frozen=True)
class Timing:
    """Seconds of processor time a call; all candidates run in the calling thread alone.

    Attributes:
        minimum, median: Over the samples, each the mean of some calls in a row.
        samples: How many.
    """

    minimum: float
    median: float
    samples: int


def interleave(calls: Sequence[Callable[[], object]], seconds: float, min_rounds: int) -> list[Timing]:
    """Sample every call once a round, round after round, for about ``seconds``, at least ``min_rounds`` times.

    A sample is some untimed calls, so that the caches hold what this candidate needs and not what the one before
    it left there, then as many timed ones as fill two milliseconds. The clock is the processor time of this thread:
    what the call would take on an idle machine. By the wall's clock a neighbour's process, which interrupts long calls
    more often than short ones, would flatter whoever is fast.
    """
    samples: list[list[float]] = [[] for _ in calls]
    plans = [_plan(call) for call in calls]
    collects = gc.isenabled()
    gc.disable()
    try:
        end = time.perf_counter() + seconds
        while len(samples[0]) < min_rounds or time.perf_counter() < end:
            for call, (warm_up, count), found in zip(calls, plans, samples, strict=True):
                for _ in range(warm_up):
                    call()
                start = time.thread_time()
                for _ in range(count):
                    call()
                found.append((time.thread_time() - start) / count)
    finally:
        if collects:
            gc.enable()
    return [Timing(min(found), statistics.median(found), len(found)) for found in samples]


def _plan(call: Callable[[], object]) -> tuple[int, int]:
    """Untimed and timed calls of one sample."""
    call()
    start = time.thread_time()
    call()
    seconds = time.thread_time() - start
    count = min(_MAX_CALLS, math.ceil(_SAMPLE_SECONDS / seconds))
    return (0 if seconds > _LONG_CALL_SECONDS else max(1, count // 8)), count
