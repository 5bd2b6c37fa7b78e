"""The learning rate during the steps on one grid."""

import math
from typing import Literal

Schedule = Literal["cosine", "warm-up"]
_WARM_UP = 0.05


def rate_at(schedule: Schedule, share: float) -> float:
    """The learning rate as a share of the largest one.

    ``cosine`` falls by half a cosine from 1 to 0.01. ``warm-up`` rises from 0.02 to 1 over the first 5 % of the steps,
    and falls by half a cosine to 0: the last steps average out the noise of the batches.

    Args:
        schedule: Its name.
        share: The share of the steps that are done, 0 to 1.
    """
    fall = (1 + math.cos(math.pi * share)) / 2
    if schedule == "cosine":
        return 0.01 + 0.99 * fall
    return min(1.0, 0.02 + share / _WARM_UP) * fall
