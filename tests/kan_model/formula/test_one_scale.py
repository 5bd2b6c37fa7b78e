"""Products have one number in front; the value of the formula stays."""

import numpy as np
import pytest
import sympy
import torch

from kan_model import KAN, KANConfig
from kan_model.formula.expression import formula
from kan_model.formula.one_scale import pull_scales
from kan_model.formula.short import round_numbers, shorten
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.network.transform import Affine

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
    "0.32*(1.01*a - 3.1)*(2.2*b + 1.5)": "0.711*(a - 3.069)*(b + 0.6818)",
    "3/(2.5*a + 4)": "1.2/(a + 1.6)",
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


@pytest.mark.parametrize("seed", range(6))
def test_the_text_of_a_network_is_the_network(seed: int) -> None:
    """A product of sums below a function, in raw units: the text without rounding equals float64, and in four digits
    to the third.
    """
    random = np.random.default_rng(seed)
    names = random.choice(["x", "x^2", "exp", "sin"], 4).tolist()
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    numbers = random.uniform(0.3, 1.5, (4, 4)).tolist()
    inner = [SymbolicEdge(*place, name, *four) for place, name, four in zip(places, names, numbers, strict=True)]
    outer = SymbolicEdge(0, 0, ["sqrt", "1/x", "log"][seed % 3], 0.7, 0.4, -1.3, 0.2)
    kan = KAN(KANConfig((2, (0, 1), 1)), seed=0, dtype=torch.float64)
    kan = kan.with_layers([kan.layers[0].with_symbolic(inner), kan.layers[1].with_symbolic([outer])])
    outputs = Affine(np.array([5.0], np.float32), np.array([2.5], np.float32))
    rows = random.uniform(0.1, 1.0, (200, 2))
    with torch.no_grad():
        wanted = outputs(kan(torch.from_numpy(rows))).numpy()[:, 0]
    for digits, tolerance in ((None, 1e-12), (4, 2e-3)):
        (text,) = formula(kan, outputs=outputs, names=("a", "b"), digits=digits, near=1e-12, one_scale=True).text
        answers = np.broadcast_to(sympy.lambdify((A, B), read(text), "numpy")(*rows.T), len(rows))
        np.testing.assert_allclose(answers, wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max())
