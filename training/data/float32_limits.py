"""What float32, in which models compute and clients send, can and cannot hold."""

import numpy as np

# Sums of such values in the first layer stay far from float32's largest number, and their inverses too.
_LARGEST = 1e30
# Of a column that spans less than this share of its size, float32 keeps fewer than 17 different values.
_SMALLEST_SPAN = 1e-6


def input_flaw(low: float, high: float) -> str:
    """Why float32 cannot scale an input with this range; "" when it can. A range of zero is a constant, and fine."""
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
    """Why predictions in this range cannot be exact to ``tolerance`` of it in float32; "" when they can."""
    size, span = max(abs(low), abs(high)), high - low
    if size > _LARGEST or span < 1 / _LARGEST:
        return f"values that span {span:.3g} at a size of {size:.3g}; float32 cannot hold them: rescale the column"
    rounding = float(np.spacing(np.float32(size))) / 2 / span
    if rounding > tolerance:
        # A column that spans more than its size is near 0 already.
        advice = "subtract a constant from the column" if size > span else "wanted a larger tolerance"
        return (
            f"values that span {span:.3g} at a size of {size:.3g}: float32 rounds predictions by {rounding:.1g} of "
            f"that span, and [verify] tolerance is {tolerance:g}; {advice}"
        )
    return ""
