"""Rounds of slices, until what they show is sure enough."""

import gc
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.common.side_by_side.asked import Asked
from benchmarks.common.side_by_side.trimmed_mean import trimmed_mean

_SLICES, _SLICE_SECONDS, _WARM_UP_SECONDS = 100, 0.02, 1.0


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


def measure_rounds(what: str, asked: Sequence[Asked], plan: Plan) -> Times:
    """Ask the servers in rounds.

    Args:
        what: For messages about the progress.
        asked: The servers; the others are compared with the first.
        plan: How many rounds there are.
    """
    for one in asked:  # the first load also fills caches
        one.ask(_WARM_UP_SECONDS)
    rounds: list[list[float]] = []
    times = Times(rounds)
    gc.disable()  # a collection here would delay the open calls
    try:
        while len(rounds) < plan.most_rounds:
            rounds.append(_round(asked))
            widths = [times.above_first(server)[1] for server in range(1, len(asked))]
            shown = ", ".join(f"{width:.2f}" for width in widths)
            print(f"{what}: round {len(rounds)}, half-widths {shown} %", file=sys.stderr, flush=True)
            if len(rounds) >= plan.fewest_rounds and max(widths) <= plan.wanted_half_width:
                break
    finally:
        gc.enable()
    return times


def _round(asked: Sequence[Asked]) -> list[float]:
    """Processor time of a request of each server."""
    before = [one.run_seconds() for one in asked]
    answered = [0] * len(asked)
    for number in range(_SLICES):
        for turn in range(len(asked)):
            place = (number + turn) % len(asked)
            answered[place] += asked[place].ask(_SLICE_SECONDS)
    return [(one.run_seconds() - start) / count for one, start, count in zip(asked, before, answered, strict=True)]
