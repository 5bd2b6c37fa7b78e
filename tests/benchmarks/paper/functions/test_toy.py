"""The functions of fig. 3.1."""

import math

import pytest
import scipy.special
import torch

from benchmarks.paper.fits.points import Target
from benchmarks.paper.functions.toy import TOYS

# The value where every variable is ½.
AT_HALF = (
    scipy.special.jv(0, 10.0),
    math.exp(1.25),
    0.25,
    math.exp(0.5),
    math.e,
)


@pytest.mark.parametrize(("target", "value"), list(zip(TOYS, AT_HALF, strict=True)), ids=[toy.name for toy in TOYS])
def test_a_toy_has_its_known_value(target: Target, value: float) -> None:
    """At ½ in each variable, from SciPy or a closed form; the ranges are those of the scaled inputs."""
    assert set(target.ranges) == {(-1, 1)}
    half = torch.full((1, len(target.ranges)), 0.5, dtype=torch.float64)
    assert float(target.values(half)) == pytest.approx(value, rel=1e-12)
