"""Rounds of slices, until what they show is sure enough.

Each round has servers of its own. Two processes of the same program differ by up to 3 % in processor time a request,
since their memory lies elsewhere; slices of the same two processes would never show that.
"""

import gc
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.common.side_by_side.asked import Asked
from benchmarks.common.side_by_side.trimmed_mean import trimmed_mean

# Short rounds: two processes differ more than the slices of one.
_SLICES, _SLICE_SECONDS, _WARM_UP_SECONDS = 40, 0.02, 0.5


@dataclass(frozen=True)
class Plan:
    """How many rounds there are.

    Attributes:
        fewest_rounds: Rounds before the intervals are looked at.
        most_rounds: Rounds after which the measurement ends, however wide they are.
        wanted_half_width: Of the 95 % intervals, in percent.
    """

    fewest_rounds: int
    most_rounds: int
    wanted_half_width: float


@dataclass(frozen=True)
class Times:
    """Processor time of a request, in seconds: `rounds[round][server]`."""

    rounds: Sequence[Sequence[float]]

    def above_first(self, server: int) -> tuple[float, float]:
        """Percent of a server above the first one: the trimmed mean, and the half-width of its 95 % interval."""
        return trimmed_mean([100 * (each[server] / each[0] - 1) for each in self.rounds])

    def seconds(self, server: int) -> float:
        """The mean of a server."""
        return statistics.mean(each[server] for each in self.rounds)


def measure_rounds(what: str, start: Callable[[ExitStack], Sequence[Asked]], plan: Plan) -> Times:
    """Ask servers in rounds.

    Args:
        what: For messages about the progress.
        start: Starts the servers of a round, which the stack ends; the others are compared with the first.
        plan: How many rounds there are.
    """
    rounds: list[list[float]] = []
    times = Times(rounds)
    gc.disable()  # a collection here would delay the open calls
    try:
        while len(rounds) < plan.most_rounds:
            with ExitStack() as stack:
                rounds.append(_round(start(stack)))
            widths = [times.above_first(server)[1] for server in range(1, len(rounds[0]))]
            shown = ", ".join(f"{width:.2f}" for width in widths)
            print(f"{what}: round {len(rounds)}, half-widths {shown} %", file=sys.stderr, flush=True)
            if len(rounds) >= plan.fewest_rounds and max(widths) <= plan.wanted_half_width:
                break
    finally:
        gc.enable()
    return times


def _round(asked: Sequence[Asked]) -> list[float]:
    """Processor time of a request of each server."""
    for one in asked:  # the first load also fills caches
        one.ask(_WARM_UP_SECONDS)
    before = [one.run_seconds() for one in asked]
    answered = [0] * len(asked)
    for number in range(_SLICES):
        for turn in range(len(asked)):
            place = (number + turn) % len(asked)
            answered[place] += asked[place].ask(_SLICE_SECONDS)
    return [(one.run_seconds() - start) / count for one, start, count in zip(asked, before, answered, strict=True)]
