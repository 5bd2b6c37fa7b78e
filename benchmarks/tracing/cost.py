"""The cost of traces, measured round by round on servers that differ in nothing else.

Three kan-serves of one model run all the time: without traces, with traces sampled at 0, and at 1 %. In a round short
slices of a load alternate between them, in an order that turns, so that all see the same speed of the machine. The
processor time of a server is that of the whole round and a rest after it, because it sends its traces twice a second.
A round gives one ratio for each share. Rounds follow until the 95 % intervals of both are narrow enough.
"""

import gc
import math
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.common import servers
from benchmarks.common.served_models import ServedModel
from benchmarks.serving.counting import Asked
from benchmarks.tracing.receiver import receiving

SHARES = (0.0, 0.01)
WANTED_HALF_WIDTH = 0.5
_SLICES, _SLICE_SECONDS, _REST_SECONDS, _WARM_UP_SECONDS = 100, 0.02, 0.7, 1.0
_TRIMMED = 0.2


@dataclass(frozen=True)
class Cost:
    """The cost of traces at one share.

    Attributes:
        share: Of the calls that are traced.
        percent: Processor time of a request with traces, above that without; the trimmed mean over the rounds.
        half_width: Of the 95 % interval of `percent`.
        rounds: Number of rounds.
        seconds: The mean processor time of a request with traces.
        spans: Number of spans received.
    """

    share: float
    percent: float
    half_width: float
    rounds: int
    seconds: float
    spans: int


def measure_cost(front_end: str, model: ServedModel, fewest_rounds: int, most_rounds: int) -> list[Cost]:
    """Measure the cost at each share of SHARES.

    Args:
        front_end: Of all servers.
        model: What they serve.
        fewest_rounds: Rounds before the intervals are looked at.
        most_rounds: Rounds after which the measurement ends, however wide they are.
    """
    times: list[list[float]] = []
    with ExitStack() as stack:
        receivers = [stack.enter_context(receiving()) for _ in SHARES]
        flags: list[tuple[str, ...]] = [()]
        for share, receiver in zip(SHARES, receivers, strict=True):
            flags.append(("--trace-endpoint", receiver.address, "--trace-sample", str(share)))
        asked = []
        for each in flags:
            server = stack.enter_context(servers.ours(" ".join(each) or "no traces", "ours", model, front_end, *each))
            asked.append(Asked(stack, server, model))
        for one in asked:  # the first load also fills caches
            one.ask(_WARM_UP_SECONDS)
        gc.disable()  # a collection here would delay the open calls
        stack.callback(gc.enable)
        while len(times) < most_rounds:
            times.append(_round(asked))
            widths = [trimmed_mean(_percents(times, place))[1] for place in range(1, len(asked))]
            shown = ", ".join(f"{width:.2f}" for width in widths)
            print(f"traces, {front_end}: round {len(times)}, half-widths {shown} %", file=sys.stderr, flush=True)
            if len(times) >= fewest_rounds and max(widths) <= WANTED_HALF_WIDTH:
                break
        return [
            Cost(
                share,
                *trimmed_mean(_percents(times, place)),
                len(times),
                statistics.mean(each[place] for each in times),
                receiver.spans,
            )
            for place, (share, receiver) in enumerate(zip(SHARES, receivers, strict=True), start=1)
        ]


def _round(asked: Sequence[Asked]) -> list[float]:
    """Processor time of a request of each server."""
    before = [one.run_seconds() for one in asked]
    answered = [0] * len(asked)
    for number in range(_SLICES):
        for turn in range(len(asked)):
            place = (number + turn) % len(asked)
            answered[place] += asked[place].ask(_SLICE_SECONDS)
    time.sleep(_REST_SECONDS)
    return [(one.run_seconds() - start) / count for one, start, count in zip(asked, before, answered, strict=True)]


def _percents(times: Sequence[Sequence[float]], place: int) -> list[float]:
    return [100 * (each[place] / each[0] - 1) for each in times]


def trimmed_mean(numbers: Sequence[float]) -> tuple[float, float]:
    """The mean without the lowest and the highest fifth, and the half-width of its 95 % interval.

    A round that other programs disturbed then neither moves the mean nor widens the interval.

    Source: Tukey and McLaughlin (1963): the deviation is that of the winsorized numbers.
    """
    ordered, cut = sorted(numbers), int(_TRIMMED * len(numbers))
    kept = ordered[cut : len(ordered) - cut]
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    if len(kept) < 2:
        return statistics.mean(kept), math.inf
    error = statistics.stdev(winsorized) / ((1 - 2 * _TRIMMED) * math.sqrt(len(ordered)))
    return statistics.mean(kept), 1.96 * error
