"""The exponent of a power law, from errors and numbers of parameters.

Example: errors 1e-2, 1e-3, 1e-4 at 10, 18 and 32 parameters fall as N^-4.
"""

import math
import statistics
from collections.abc import Sequence

# Before this relative error a grid is too coarse to resolve the function, and no power law holds.
_RESOLVED = 0.1
# From a grid on that lowers the error by less than N^-1, something else than the grid bounds it.
_SATURATED = 1.0


def power_law(parameters: Sequence[float], errors: Sequence[float]) -> float:
    """α of errors ≈ C·N^-α, by linear regression of log error on log N.

    Raises:
        ValueError: fewer than two points, or numbers that are not positive.
    """
    if len(parameters) < 2 or min(*parameters, *errors) <= 0:
        raise ValueError(f"{len(parameters)} points; wanted two or more, all numbers above 0")
    logs = [[math.log(value) for value in values] for values in (parameters, errors)]
    return -statistics.linear_regression(*logs).slope


def before_saturation(parameters: Sequence[float], errors: Sequence[float]) -> slice:
    """The points from the first relative error below 0.1 to the last that still falls faster than N^-1.

    Args:
        parameters: Ascending.
        errors: In standard deviations of the target.
    """
    first = next((place for place, error in enumerate(errors) if error < _RESOLVED), len(errors))
    last = first
    while last + 1 < len(errors):
        fall = math.log(errors[last] / errors[last + 1]) / math.log(parameters[last + 1] / parameters[last])
        if fall < _SATURATED:
            break
        last += 1
    return slice(first, last + 1)
