"""Standard errors of a formula's constants are those of curve_fit."""

import numpy as np
import pytest
import sympy
import torch
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from kan_model import KAN, KANLayer, SymbolicEdge
from kan_model.formula.expression import formula
from kan_model.formula.standard_errors import standard_errors, text_with_errors

Values = NDArray[np.float64]

A, B = sympy.symbols("a b", real=True)


def rows_with_noise() -> tuple[Values, Values]:
    """2·sin(1.3·a) + 0.7·b + 5 with an error of 0.1."""
    random = np.random.default_rng(0)
    rows = random.uniform(-2, 2, (200, 2))
    truth = 2 * np.sin(1.3 * rows[:, 0]) + 0.7 * rows[:, 1] + 5
    return rows, truth + 0.1 * random.standard_normal(200)


def test_they_are_those_of_curve_fit() -> None:
    """At the least squared error; curve_fit has its own derivatives."""
    rows, targets = rows_with_noise()

    def law(at: Values, c: float, k: float, slope: float, d: float) -> Values:
        return c * np.sin(k * at[:, 0]) + slope * at[:, 1] + d

    found, covariance = curve_fit(law, rows, targets, (2, 1.3, 0.7, 5), xtol=1e-14, ftol=1e-14)
    c, k, slope, d = map(sympy.Float, found)
    errors = standard_errors(c * sympy.sin(k * A) + slope * B + d, (A, B), rows, targets)
    assert errors is not None
    np.testing.assert_allclose([errors[each] for each in (c, k, slope, d)], np.sqrt(np.diag(covariance)), rtol=1e-4)


def test_one_of_two_constants_that_do_the_same_work_has_none() -> None:
    """The other one has the error of both together: 5.4 − 0.4 is 5."""
    rows, targets = rows_with_noise()
    design = np.column_stack([rows, np.ones(len(rows))])
    found, (squares,), _, _ = np.linalg.lstsq(design, targets, rcond=None)
    wanted = np.sqrt(squares / (len(rows) - 3) * np.diag(np.linalg.inv(design.T @ design)))
    a, b, both, part = map(sympy.Float, (*found[:2], found[2] + 0.4, 0.4))
    errors = standard_errors(a * A + b * B + both + part * sympy.sign(A - 9), (A, B), rows, targets)
    assert errors is not None
    assert len(errors) == 3
    np.testing.assert_allclose([errors[a], errors[b]], wanted[:2], rtol=1e-6)
    assert (errors.get(both) or errors[part]) == pytest.approx(wanted[2], rel=1e-6)


@pytest.mark.parametrize(
    "expression",
    [
        sympy.log(A + sympy.Float(0.5)),  # no answer to some rows
        0.1 * A,  # not fitted to these rows
    ],
)
def test_no_errors_are_told_that_would_not_hold(expression: sympy.Expr) -> None:
    """Nor those of a formula with as many constants as rows."""
    rows, targets = rows_with_noise()
    assert standard_errors(expression, (A, B), rows, targets) is None
    assert standard_errors(0.1 * A + 0.2 * B, (A, B), rows[:2], targets[:2]) is None


def test_they_stand_beside_the_constants() -> None:
    """In the place of each, to the second digit of its error; whole numbers have none."""
    rows, _ = rows_with_noise()
    square = rows[:, 0] ** 2
    noise = 0.1 * np.random.default_rng(1).standard_normal(len(rows))
    noise -= noise @ square / (square @ square) * square  # So 1.5 is at the least squared error.
    error = np.sqrt(noise @ noise / 199 / (square @ square))
    edges = [SymbolicEdge(0, 0, "x^2", 1, 0, 1.5, 0), SymbolicEdge(0, 1, "x", 1, 0, 1, 0)]
    zeros = torch.zeros(1, 2, dtype=torch.float64)
    domain = torch.tensor([[-2.0, 2.0]] * 2, dtype=torch.float64)
    layer = KANLayer(zeros, zeros[..., None].expand(1, 2, 2), degree=1, outside="clamp", domain=domain, symbolic=edges)
    found = formula(KAN.of_layers([layer]), names=["height", "my width"])
    (text,) = text_with_errors(found, rows, (1.5 * square + rows[:, 1] + noise)[:, None])
    assert text is not None
    assert sorted(text.split(" + ")) == sorted([f"(1.5 ± {error:.2g})*height**2", "`my width`"])
