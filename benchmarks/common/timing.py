"""Time many candidates side by side, so that other work of the machine affects all of them equally."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_SAMPLE_SECONDS = 2e-3
_MAX_CALLS = 200
# In a call this long, cold caches at its start do not matter.
_LONG_CALL_SECONDS = 2e-2


@dataclass(frozen=True)
class Timing:
    """Seconds of processor time per call; all candidates run in the calling thread.

    Attributes:
        minimum: The smallest sample; a sample is the mean of several calls in a row.
        median: The median of the samples.
        samples: Number of samples.
    """

    minimum: float
    median: float
    samples: int


def interleave(calls: Sequence[Callable[[], object]], seconds: float, min_rounds: int) -> list[Timing]:
    """Sample every call once per round, for about ``seconds`` and at least ``min_rounds`` rounds.

    A sample begins with some untimed calls, so that the caches hold this candidate's data and not the one's before.
    Then come as many timed calls as fill two milliseconds. The clock is the processor time of this thread, which is
    the time on an idle machine. Wall time would favour fast candidates: other processes interrupt long calls more.
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
