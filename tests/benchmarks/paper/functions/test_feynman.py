"""The equations of table 2 are those of the paper, on ranges where they are finite."""

import math

import pytest
import torch

from benchmarks.paper.functions.feynman import EQUATIONS, Equation

# Variables and value, computed by hand or from an identity.
KNOWN = {
    "I.6.2": ((0.0, 1.0), 0.3989422804014327),
    "I.6.2b": ((1.0, 0.0, 1.0), 0.24197072451914337),
    "I.9.18": ((1.0, 2.0, 1.0, 0.0, 1.0, 0.0), 1 / 3),
    "I.12.11": ((0.5, math.pi / 2), 1.5),
    "I.13.12": ((0.5, 2.0), -0.25),
    "I.15.3x": ((0.2, 0.6), 1.0),
    "I.16.6": ((0.5, 0.5), 0.8),
    "I.18.4": ((1.0, 0.5), 0.75),
    "I.26.2": ((0.5, math.pi / 2), math.pi / 6),
    "I.27.6": ((2.0, 1.5), 0.25),
    "I.29.16": ((1.0, math.pi, 0.0), 2.0),
    "I.30.3": ((2.0, math.pi / 2), 2.0),
    "I.30.5": ((0.5, 1.0), math.pi / 6),
    "I.37.4": ((0.25, 0.0), 2.25),
    "I.40.1": ((2.0, 1.0), 2 / math.e),
    "I.44.4": ((0.5, math.e / 2), 0.5 * (1 - math.log(2))),
    "I.50.26": ((math.pi, 0.5), -0.5),
    "II.2.42": ((0.5, 0.5), -0.25),
    "II.6.15a": ((0.6, 0.8, 2.0), 1 / (2 * math.pi)),
    "II.11.7": ((2.0, 0.5, math.pi), 1.0),
    "II.11.27": ((1.0, 1.0), 1.5),
    "II.35.18": ((1.0, 0.0), 0.5),
    "II.36.38": ((0.5, -0.5, 0.5), 0.25),
    "II.38.3": ((0.5, 2.0), 0.25),
    "III.9.52": ((1.0, math.pi, 0.0), 4 / math.pi**2),
    "III.10.19": ((1.0, -1.0), math.sqrt(3)),
    "III.17.37": ((2.0, 0.5, 0.0), 3.0),
}


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda equation: equation.target.name)
def test_an_equation_is_finite_on_its_ranges(equation: Equation) -> None:
    """On the ends and inside; it depends on each of its variables."""
    points = 9 if len(equation.target.ranges) < 6 else 4
    ends = torch.cartesian_prod(*(torch.linspace(*each, points).double() for each in equation.target.ranges))
    variables = [column.unsqueeze(1).requires_grad_() for column in ends.T]
    values = equation.target.function(*variables)
    assert values.shape == (len(ends), 1)
    assert torch.isfinite(values).all()
    slopes = torch.autograd.grad(values.sum(), variables)  # NaN where a root is 0
    assert all(each.nan_to_num().abs().max() > 0 for each in slopes)


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda equation: equation.target.name)
def test_an_equation_has_its_known_value(equation: Equation) -> None:
    """At a point where it is known without the code."""
    variables, value = KNOWN[equation.target.name]
    found = equation.target.function(*(torch.tensor([[each]], dtype=torch.float64) for each in variables))
    assert float(found) == pytest.approx(value, rel=1e-12)


def test_there_are_27() -> None:
    """Each once, with a shape that fits its variables."""
    assert len({each.target.name for each in EQUATIONS}) == len(EQUATIONS) == len(KNOWN) == 27
    assert all(each.width[0] == len(each.target.ranges) and each.width[-1] == 1 for each in EQUATIONS)
