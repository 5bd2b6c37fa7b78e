"""Forms are compared by the size of their errors only where a graph in float32 can tell them."""

import numpy as np
import torch

from kan_model import KAN, KANConfig
from kan_model.network.symbolic_edge import SymbolicEdge
from training.data.samples import Samples
from training.formulas.descent import error
from training.formulas.local_search import improve, make_form
from training.formulas.work import Work

WORK = Work(1e9, lambda: None)
X = np.random.default_rng(0).uniform(0.5, 2, (200, 1))
SQUARE = X[:, 0] ** 2 / np.std(X[:, 0] ** 2)


def rows_of(y: np.ndarray) -> Samples:
    """Rows with these targets."""
    return Samples(torch.from_numpy(X), torch.from_numpy(y)[:, None])


def form_of(edge: SymbolicEdge) -> KAN:
    """One edge."""
    return KAN.of_layers([KAN(KANConfig((1, 1)), seed=0, dtype=torch.float64).layers[0].with_symbolic([edge])])


def test_errors_that_float32_cannot_tell_are_equally_small() -> None:
    """The square of exact rows and that of rows with an error of 1e-7 have the same criterion."""
    kan = form_of(SymbolicEdge(0, 0, "x^2", 1.0, 0.0, 1.0, 0.0))
    rough = SQUARE + 1e-7 * np.random.default_rng(1).standard_normal(200)
    forms = [make_form(kan, rows_of(y), WORK, hold=False) for y in (SQUARE, rough)]
    assert forms[0] is not None
    assert forms[1] is not None
    assert error(forms[0].kan, rows_of(SQUARE)) < 1e-9 < 5e-8 < error(forms[1].kan, rows_of(rough))
    assert forms[0].criterion == forms[1].criterion


def test_a_formula_without_error_becomes_simpler_still() -> None:
    """A cosine so flat that it is a parabola within 1e-6 is exchanged for the parabola."""
    large = 2.0 / (0.0005**2 * float(np.std(X[:, 0] ** 2)))
    kan = form_of(SymbolicEdge(0, 0, "cos", 0.0005, 0.0, -large, large))
    start = make_form(kan, rows_of(SQUARE), WORK, hold=False)
    assert start is not None
    assert error(start.kan, rows_of(SQUARE)) <= 1e-6
    better = improve(start, rows_of(SQUARE), ("x", "x^2", "cos", "exp"), WORK)
    assert better.kan.layers[0].symbolic_functions == ("x^2",)
