"""Limits of float32, the type that clients send and models compute in."""

import numpy as np

from training.data.column import numbers
from training.data.encoding import Column, Numbers
from training.data.table import Table
from training.errors import quoted

# float32 ends at 3e38: sums of values below this bound, and their inverses, stay within it.
_LARGEST = 1e30
# In a column whose range is a smaller share of its values' size, float32 has fewer than 17 different values.
_SMALLEST_SPAN = 1e-6
_WHOLE_IN_FLOAT32 = 2**24


def input_flaw(low: float, high: float) -> str:
    """Why float32 cannot scale an input with this range; "" if it can. A range of 0 is a constant, which is allowed."""
    size, span = max(abs(low), abs(high)), high - low
    if size > _LARGEST:
        return f"values of {size:.3g}; float32 arithmetic needs less than {_LARGEST:g}: rescale the column"
    if span and (span < _SMALLEST_SPAN * size or span < 1 / _LARGEST):
        return (
            f"values that span {span:.3g} at a size of {size:.3g}; float32 cannot tell them apart: "
            "shift or rescale the column"
        )
    return ""


def target_flaw(low: float, high: float, tolerance: float) -> str:
    """Why float32 predictions in this range cannot be exact to ``tolerance`` times the range; "" if they can."""
    size, span = max(abs(low), abs(high)), high - low
    if size > _LARGEST or span < 1 / _LARGEST:
        return f"values that span {span:.3g} at a size of {size:.3g}; float32 cannot hold them: rescale the column"
    rounding = float(np.spacing(np.float32(size))) / 2 / span
    if rounding > tolerance:
        # If the range is smaller than the values' size, the column is far from 0 and a shift helps.
        advice = "subtract a constant from the column" if size > span else "wanted a larger tolerance"
        return (
            f"values that span {span:.3g} at a size of {size:.3g}: float32 rounds predictions by {rounding:.1g} of "
            f"that span, and [verify] tolerance is {tolerance:g}; {advice}"
        )
    return ""


def logarithm_flaw(low: float, high: float, tolerance: float) -> str:
    """As :func:`target_flaw`, for numbers above 0 that are the exp of a prediction: the bound is on the logarithms."""
    ends = float(np.log(low)), float(np.log(high))
    # The exp rounds by half a unit in the last place, which is an error of 2^-24 in the logarithm.
    rounding = float(np.spacing(np.float32(max(1.0, *map(abs, ends))))) / 2
    span = ends[1] - ends[0]
    if high > _LARGEST or low < 1 / _LARGEST:
        return f"values from {low:.3g} to {high:.3g}; float32 cannot hold them: rescale the column"
    if rounding > tolerance * span:
        return (
            f"values from {low:.6g} to {high:.6g}: float32 rounds their logarithms by {rounding:.1g}, which is more "
            f'than [verify] tolerance {tolerance:g} of the range of the logarithms; use [task] target_scale = "linear"'
        )
    return ""


def warn_of_rounding(table: Table, columns: tuple[Column, ...], blocks: list[Numbers]) -> list[str]:
    """Warn if float32 makes different numbers of a column equal: large whole numbers, mostly keys or time stamps."""
    warnings = []
    for column, block in zip(columns, blocks, strict=True):
        if column.categories or not (np.abs(block) >= _WHOLE_IN_FLOAT32).any():
            continue
        values = numbers(table, column.name)
        values = values[~np.isnan(values)]
        exact, rounded = len(np.unique(values)), len(np.unique(values.astype(np.float32)))
        if rounded < exact:
            warnings.append(
                f"column {quoted(column.name)} has {exact} different values, of which float32 keeps {rounded}"
            )
    return warnings
