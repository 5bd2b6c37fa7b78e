"""Exponents of power laws."""

import pytest

from benchmarks.paper.fits.exponent import before_saturation, power_law

PARAMETERS = [7.0, 9.0, 14.0, 24.0, 54.0, 104.0, 204.0]


@pytest.mark.parametrize("exponent", [1.0, 3.5, 4.0])
def test_a_known_exponent_is_recovered(exponent: float) -> None:
    """To rounding."""
    errors = [3 * n**-exponent for n in PARAMETERS]
    assert power_law(PARAMETERS, errors) == pytest.approx(exponent)


def test_coarse_grids_and_saturated_ones_do_not_count() -> None:
    """Errors above a tenth of the standard deviation, and those from the first that falls slower than 1/N on."""
    errors = [0.9, 0.8, *(0.05 * (n / 14) ** -4 for n in PARAMETERS[2:5]), 2.2e-4, 1e-9]
    law = before_saturation(PARAMETERS, errors)
    assert PARAMETERS[law] == [14, 24, 54]
    assert power_law(PARAMETERS[law], errors[law]) == pytest.approx(4)


def test_no_law_without_points() -> None:
    """A function that no grid resolves has none, and one point makes none."""
    assert PARAMETERS[before_saturation(PARAMETERS, [0.5] * 7)] == []
    with pytest.raises(ValueError, match="wanted two or more"):
        power_law([7], [0.1])
    with pytest.raises(ValueError, match="above 0"):
        power_law([7, 9], [0.1, 0.0])
