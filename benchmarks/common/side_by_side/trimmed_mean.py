"""The mean of rounds, some of which other programs disturbed."""

import math
import statistics
from collections.abc import Sequence

_TRIMMED = 0.2


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
