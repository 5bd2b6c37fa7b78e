"""Products have one number in front; the value of the formula stays."""

import numpy as np
import pytest
import sympy

from kan_model.formula.one_scale import pull_scales
from kan_model.formula.short import round_numbers, shorten

A, B = sympy.symbols("a b", real=True)


def read(text: str) -> sympy.Expr:
    """The formula in a and b."""
    return sympy.sympify(text, locals={"a": A, "b": B})


def shown(text: str) -> str:
    """As a run shows it: four digits, whole numbers without a point."""
    return str(round_numbers(shorten(pull_scales(read(text)), near=1e-12), 4))


# What runs found before, by the law; and formulas whose numbers are no scales.
SHOWN = {
    "0.3186*(0.03442 - 1.009*a)*(-3.112*b - 0.1337)": "(a - 0.03411)*(b + 0.04296)",
    "-0.9984/(-0.9983*b*a - 0.9984)": "1/(a*b + 1)",
    "1.012*sqrt(0.9772*a**2 + 0.9774*b**2)": "sqrt(a**2 + b**2)",
    "-0.9732*(1.056*a + 0.3033)/(-1.025*b**2 - 1.028)": "1.003*(a + 0.2872)/(b**2 + 1.003)",
    "-b*(0.422 - log(a))": "b*(log(a) - 0.422)",
    "0.98*(1.5*a + 1.5*b)/(0.98*a*b + 0.98)": "1.5*(a + b)/(a*b + 1)",
    "2.5*sqrt(3.1 - 1.5*a)": "3.062*sqrt(2.067 - a)",
    "exp(-0.5*(2.5*a + 0.5)**2)": "exp(-0.125*(5*a + 1)**2)",
    "sin(2.5*(0.2*a + 0.31)*b)": "sin(0.5*b*(a + 1.55))",
    "280.5*exp(0.0036*a) - 280.5": "280.5*exp(0.0036*a) - 280.5",
    "b*(log(a) - 1.588e-9*b)": "b*(-1.588e-9*b + log(a))",
    "2.1*a + 3.3*b": "2.1*a + 3.3*b",
    "2.5": "2.5",
}


@pytest.mark.parametrize(("given", "wanted"), SHOWN.items())
def test_formulas_as_they_are_shown(given: str, wanted: str) -> None:
    """No number is left that another one makes redundant; a second time nothing changes."""
    assert read(shown(given)) == read(wanted)
    assert read(shown(shown(given))) == read(wanted)


@pytest.mark.parametrize("text", [*SHOWN, "1e-200*(1e-150*a + 2e-200)*b", "0.1/(1e-300*a + 3e-300)"])
def test_the_value_stays(text: str) -> None:
    """In float64 at 200 points, also where a scale would leave its range."""
    rows = np.random.default_rng(0).uniform(0.1, 2.0, (2, 200))
    before, after = (sympy.lambdify((A, B), each, "numpy")(*rows) for each in (read(text), pull_scales(read(text))))
    np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-320)


def test_long_sums_take_no_long_time() -> None:
    """Of 100 terms a few are tried as the scale."""
    terms = sympy.Add(*((index + 0.5) * sympy.sin((index + 2) * A) for index in range(100)))
    found = pull_scales(2.5 * B * (terms + 0.7))
    assert sympy.count_ops(found) < 4 * 100 + 10
