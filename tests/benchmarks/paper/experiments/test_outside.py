"""Functions outside the library."""

import math

import numpy as np
import pytest

from benchmarks.paper.experiments.outside import CURVES, Curve, learned
from kan_model import suggest_symbolic
from training.threads import torch_threads


def test_curves_are_the_named_functions() -> None:
    """By values of tables (Abramowitz and Stegun) and of the math module."""
    expected = {
        "J0(20x)": (0.1, 0.2238907791),
        "Ai(8x)": (0.125, 0.1352924163),
        "Si(10x)": (0.1, 0.9460830704),
        "sin(x)/x": (1.0, math.sin(1)),
        "erf(x)": (1.0, math.erf(1)),
        "lgamma(x)": (2.5, math.lgamma(2.5)),
        "P5(x)": (0.5, 0.08984375),
    }
    assert expected.keys() == CURVES.keys()
    for name, (x, value) in expected.items():
        assert float(CURVES[name].function(np.array(x))) == pytest.approx(value, rel=1e-9), name


def test_a_spline_learns_what_no_formula_is() -> None:
    """J0(20x): the spline is good to 1e-3, and neither a line nor a sine has R² 0.99; a sine itself has."""
    with torch_threads(1):
        for curve, fits in ((CURVES["J0(20x)"], False), (Curve(lambda x: np.sin(2 * x + 0.3), -1, 1), True)):
            kan, x, error = learned(curve, 0)
            assert error < 1e-3
            best = max(suggest_symbolic(kan, x, 0, 0, 0, functions=["x", "sin"]), key=lambda each: each.r2)
            assert (best.r2 > 0.99) == fits
