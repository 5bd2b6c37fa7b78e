"""What float32 can hold, against numpy's float32."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.float32_limits import input_flaw, target_flaw


@pytest.mark.parametrize(
    ("low", "high", "why"),
    [
        (1.7e9, 1.7e9 + 512, "cannot tell them apart"),
        (-1e38, 1e38, "needs less than 1e+30"),
        (0.0, 1e-32, "cannot tell them apart"),
        (0.0, 1e6, ""),
        (5.0, 5.0, ""),
        (1900.0, 2030.0, ""),
    ],
)
def test_inputs(low: float, high: float, why: str) -> None:
    """Time stamps a second apart, and numbers near float32's ends, are refused; years and constants are not."""
    flaw = input_flaw(low, high)
    assert why in flaw
    assert bool(flaw) == bool(why)


@pytest.mark.parametrize(
    ("low", "high", "fits"),
    [
        (1.6e9, 1.6e9 + 400, False),
        (1.6e9, 1.6e9 + 1e5, False),
        (2000.0, 2020.0, True),
        (0.0, 1e37, False),
        (0, 1, True),
    ],
)
def test_targets(low: float, high: float, fits: bool) -> None:
    """A target that float32 rounds by more than the tolerance of its span is refused before training."""
    assert (target_flaw(low, high, 1e-5) == "") == fits


def test_a_target_around_zero_has_nothing_to_subtract() -> None:
    """The tolerance alone is at fault."""
    assert target_flaw(-1.0, 2.0, 1e-9).endswith("wanted a larger tolerance")
    assert target_flaw(1.6e9, 1.6e9 + 400, 1e-5).endswith("subtract a constant from the column")


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_a_target_that_passes_is_held_by_float32(low: float, span: float) -> None:
    """What numpy's float32 makes of numbers in the range is within the tolerance of the range."""
    if target_flaw(low, low + span, 1e-5) == "":
        values = np.linspace(low, low + span, 50)
        assert np.abs(values.astype(np.float32).astype(np.float64) - values).max() <= 1.0001e-5 * span
