"""Every symbolic function against NumPy and SciPy, in torch, in ONNX and in sympy; and where it is finite."""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
from numpy.typing import NDArray
from scipy.special import expit

from kan_model.network.functions import ALIASES, FUNCTIONS, POLE_MARGIN
from kan_model.onnx_graph import GraphBuilder, check
from kan_model.onnx_runtime import run

Values = NDArray[np.float64]

# Reference, and the range over which it is compared.
REFERENCES: dict[str, tuple[Callable[[Values], Values], float, float]] = {
    "0": (lambda x: x * 0, -1e6, 1e6),
    "x": (lambda x: x, -1e6, 1e6),
    "x^2": (np.square, -1e6, 1e6),
    "x^3": (lambda x: x**3, -1e6, 1e6),
    "x^4": (lambda x: x**4, -1e6, 1e6),
    "x^5": (lambda x: x**5, -1e6, 1e6),
    "1/x": (lambda x: 1 / x, -1e3, 1e3),
    "1/x^2": (lambda x: 1 / x**2, -1e3, 1e3),
    "1/x^3": (lambda x: 1 / x**3, -1e3, 1e3),
    "1/x^4": (lambda x: 1 / x**4, -1e3, 1e3),
    "1/x^5": (lambda x: 1 / x**5, -1e3, 1e3),
    "sqrt": (np.sqrt, 0, 1e6),
    "x^1.5": (lambda x: np.sqrt(x) ** 3, 0, 1e6),
    "1/sqrt(x)": (lambda x: 1 / np.sqrt(x), 1e-6, 1e3),
    "exp": (np.exp, -80, 80),
    "log": (np.log, 1e-6, 20),
    "abs": (np.abs, -1e6, 1e6),
    "sin": (np.sin, -1e3, 1e3),
    "cos": (np.cos, -1e3, 1e3),
    "tan": (np.tan, -20, 20),
    "sinh": (np.sinh, -80, 80),
    "cosh": (np.cosh, -80, 80),
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
    """Every function has a reference, under its own name."""
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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_gradient_is_finite_wherever_the_guard_holds(name: str) -> None:
    """At the ends too, where the slope of sqrt or arcsin is infinite: one such row would make all weights NaN."""
    points = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0], dtype=torch.float64)
    points = points[FUNCTIONS[name].guard(points)].requires_grad_()
    # Twice, as with a layer behind it that passes on zero.
    for factor in (1.0, 0.0):
        (slope,) = torch.autograd.grad((factor * FUNCTIONS[name].torch(points)).sum(), points)
        assert torch.isfinite(slope).all()


def test_the_constant_is_the_simplest_and_the_identity_next() -> None:
    """A constant, then a straight line, is preferred to anything that fits as well."""
    assert sorted(FUNCTIONS, key=lambda name: FUNCTIONS[name].complexity)[:2] == ["0", "x"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sympy_is_torch(name: str) -> None:
    """The formula as a NumPy function, in float64: to a few units in the last place of the value."""
    x = sympy.Symbol("x", real=True)
    function = sympy.lambdify(x, FUNCTIONS[name].sympy(x), "numpy")
    points = _points(name).astype(np.float64)
    # A constant's function gives one number.
    got = np.broadcast_to(function(points), points.shape)
    np.testing.assert_allclose(got, FUNCTIONS[name].torch(torch.from_numpy(points)), rtol=4e-15, atol=0)


def test_sympy_is_imported_by_formulas_only() -> None:
    """`import kan_model` stays as light as it was."""
    command = "import sys, kan_model; print('sympy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


# Zero, one and the poles of tan are among them, with neighbours on both sides; nothing overflows.
GRID = np.concatenate(
    [
        np.linspace(-30, 30, 12_001),
        *(np.array([-1, 0, 1]) + step for step in (0, 1e-9, -1e-9, 1e-3, -1e-3)),
        *((np.arange(-5, 6) + 0.5 + step) * np.pi for step in (0, 1e-8, -1e-8, 1e-3, -1e-3)),
    ]
)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_guard_says_where_the_function_is_finite(name: str) -> None:
    """Exactly there, for arrays and tensors alike; of tan, which no float makes infinite, off its poles."""
    assert {-1.0, 0.0, 1.0} <= set(GRID.tolist())
    with np.errstate(all="ignore"):
        finite = np.isfinite(REFERENCES[name][0](GRID))
    if name == "tan":
        finite = np.abs(np.cos(GRID)) > np.sin(np.pi * POLE_MARGIN)
        assert 0 < (~finite).sum() < 40
    guard = FUNCTIONS[name].guard
    np.testing.assert_array_equal(guard(GRID), finite)
    inside = guard(torch.from_numpy(GRID))
    assert inside.dtype == torch.bool
    np.testing.assert_array_equal(inside.numpy(), finite)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_guard_refuses_what_is_no_number(name: str) -> None:
    """NaN and infinities, without a warning; float32 as well."""
    bad = np.array([np.nan, np.inf, -np.inf, 0.5], np.float32)
    for arguments in (bad, torch.from_numpy(bad)):
        assert FUNCTIONS[name].guard(arguments).tolist()[:3] == [False] * 3
        assert FUNCTIONS[name].guard(arguments).tolist()[3]


def _pykan_library() -> dict[str, int]:
    """Name and complexity of each function, read from the source: importing pykan warns and writes files."""
    spec = importlib.util.find_spec("kan")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    source = Path(spec.submodule_search_locations[0], "utils.py").read_text()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SYMBOLIC_LIB":
            assert isinstance(node.value, ast.Dict)
            rows = zip(node.value.keys, node.value.values, strict=True)
            return {ast.literal_eval(key): ast.literal_eval(row.elts[2]) for key, row in rows}  # type: ignore
    raise AssertionError("no SYMBOLIC_LIB")


@pytest.mark.skipif(importlib.util.find_spec("kan") is None, reason="pykan is not installed")
def test_every_function_of_pykan_is_here() -> None:
    """Under pykan's own name or an alias of it, at pykan's own complexity."""
    library = _pykan_library()
    assert len(library) >= 29
    ours = {name: FUNCTIONS[ALIASES.get(name, name)].complexity for name in library}
    assert ours == library


def test_an_alias_stands_for_a_function_that_is_there() -> None:
    """An alias is the name of an existing function's second name, and is not itself a function."""
    assert set(ALIASES.values()) <= set(FUNCTIONS)
    assert not set(ALIASES) & set(FUNCTIONS)
