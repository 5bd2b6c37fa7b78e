"""Every symbolic function against NumPy and SciPy, in torch and in ONNX."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit

from kan_model.functions import FUNCTIONS
from kan_model.lowering.graph import GraphBuilder, check
from kan_model.onnx_runtime import run

Values = NDArray[np.float64]

# Reference, and the range over which it is compared.
REFERENCES: dict[str, tuple[Callable[[Values], Values], float, float]] = {
    "x": (lambda x: x, -1e6, 1e6),
    "x^2": (np.square, -1e6, 1e6),
    "x^3": (lambda x: x**3, -1e6, 1e6),
    "x^4": (lambda x: x**4, -1e6, 1e6),
    "x^5": (lambda x: x**5, -1e6, 1e6),
    "1/x": (lambda x: 1 / x, -1e3, 1e3),
    "1/x^2": (lambda x: 1 / x**2, -1e3, 1e3),
    "sqrt": (np.sqrt, 0, 1e6),
    "1/sqrt(x)": (lambda x: 1 / np.sqrt(x), 1e-6, 1e3),
    "exp": (np.exp, -80, 80),
    "log": (np.log, 1e-6, 20),
    "abs": (np.abs, -1e6, 1e6),
    "sin": (np.sin, -1e3, 1e3),
    "cos": (np.cos, -1e3, 1e3),
    "tan": (np.tan, -20, 20),
    "tanh": (np.tanh, -10, 10),
    "arcsin": (np.arcsin, -1, 1),
    "arccos": (np.arccos, -1, 1),
    "arctan": (np.arctan, -1e3, 1e3),
    "arctanh": (np.arctanh, -0.999, 0.999),
    "sgn": (np.sign, -1, 1),
    "gaussian": (lambda x: np.exp(-(x**2)), -3, 3),
    "sigmoid": (expit, -80, 80),
    "silu": (lambda x: x * expit(x), -80, 80),
}
EDGES_OF_DOMAINS = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 1e6, -1e6]


def _points(name: str) -> NDArray[np.float32]:
    """10 001 float32 numbers over the range, an even count of steps, so that 0 is among them only if it is an end."""
    _, low, high = REFERENCES[name]
    points = np.linspace(low, high, 10_001, dtype=np.float32)
    return points[points != 0] if low < 0 else points


def _run_onnx(name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    graph = GraphBuilder("features", 1)
    # A model's output must be made by a node, and x itself is none.
    value = graph.op("Identity", [FUNCTIONS[name].onnx(graph, "features")], "result")
    model = graph.build({"value": (value, [1])}, "function", {})
    check(model)
    return run(model, x.reshape(-1, 1)).ravel()


def test_every_function_has_a_reference() -> None:
    """None goes untested, and each stands under its own name."""
    assert {name: function.name for name, function in FUNCTIONS.items()} == {name: name for name in REFERENCES}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_torch_is_the_reference(name: str) -> None:
    """In float64, to a few units in the last place."""
    x = _points(name).astype(np.float64)
    expected = REFERENCES[name][0](x)
    np.testing.assert_allclose(FUNCTIONS[name].torch(torch.from_numpy(x)), expected, rtol=2e-15, atol=0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_onnx_is_the_reference_within_float32(name: str) -> None:
    """The graph is valid and off by at most 8 units in the last place of the value itself, however small that is."""
    x = _points(name)
    expected = REFERENCES[name][0](x.astype(np.float64))
    np.testing.assert_allclose(_run_onnx(name, x), expected, rtol=8 * 2**-23, atol=0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_beyond_the_domain_ieee_answers(name: str) -> None:
    """NaN gives NaN; poles, infinities and arguments outside give what NumPy gives, in torch and in ONNX alike."""
    # Four times, so that vector code and the rest of a vector both see each of them.
    x = np.array(EDGES_OF_DOMAINS * 4, dtype=np.float32)
    with np.errstate(all="ignore"):
        expected = REFERENCES[name][0](x.astype(np.float64)).astype(np.float32)
    assert np.isnan(expected[0])
    # Denormal numbers may count as zero.
    np.testing.assert_allclose(FUNCTIONS[name].torch(torch.from_numpy(x)), expected, rtol=8 * 2**-23, atol=1e-37)
    np.testing.assert_allclose(_run_onnx(name, x), expected, rtol=8 * 2**-23, atol=1e-37)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_gradient_is_the_derivative(name: str) -> None:
    """Autograd against finite differences, so that a symbolic edge can be trained."""
    x = torch.tensor([0.21, 0.5, 0.83], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(FUNCTIONS[name].torch, (x,))


def test_the_identity_is_the_simplest() -> None:
    """A straight line is preferred to anything that fits as well."""
    assert min(FUNCTIONS.values(), key=lambda function: function.complexity).name == "x"
