"""Only the constants of formulas are trained."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from kan_model import KAN, KANLayer, SymbolicEdge
from kan_model.lowering import lower
from kan_model.onnx_runtime import run
from kan_model.symbolic.constants import fit_constants


def rows_of(features: int, count: int = 300) -> Tensor:
    """Random rows in [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, features, dtype=torch.float64, generator=generator) * 2 - 1


def symbolic_layer(
    edges: list[tuple[int, int, str, float, float, float, float]],
    inputs: int,
    *,
    dtype: torch.dtype = torch.float64,
    bias: list[float] | None = None,
) -> KANLayer:
    """A layer of these edges alone."""
    outputs = 1 + max(edge[0] for edge in edges)
    return KANLayer(
        torch.zeros(outputs, inputs, dtype=dtype),
        torch.zeros(outputs, inputs, 8, dtype=dtype),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]] * inputs, dtype=dtype),
        edge_mask=torch.zeros(outputs, inputs, dtype=dtype),
        symbolic=[SymbolicEdge(*edge) for edge in edges],
        bias=None if bias is None else torch.tensor(bias, dtype=dtype),
    )


def paper_kan(dtype: torch.dtype = torch.float64) -> KAN:
    """exp(sin(πx) + y²) with constants that are a few per cent off."""
    first = symbolic_layer([(0, 0, "sin", 3.0, 0.1, 0.9, 0.05), (0, 1, "x^2", 1.0, 0.05, 1.1, 0.0)], 2, dtype=dtype)
    return KAN.of_layers([first, symbolic_layer([(0, 0, "exp", 0.95, 0.0, 1.1, -0.1)], 1, dtype=dtype)])


def truth(x: Tensor) -> Tensor:
    """The paper's example."""
    return torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sqrt", "x^1.5", "arcsin", "arccos"])
def test_a_row_at_the_end_of_a_function_stops_no_training(name: str) -> None:
    """A row at the end of a domain, with an infinite slope, does not stop the fit: c and d are found."""
    functions: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
        "sqrt": np.sqrt,
        "x^1.5": lambda x: x**1.5,
        "arcsin": np.arcsin,
        "arccos": np.arccos,
    }
    x = torch.linspace(0 if name in ("sqrt", "x^1.5") else -1, 1, 201, dtype=torch.float64).unsqueeze(1)
    y = 2 * torch.from_numpy(functions[name](x.numpy())) - 0.7
    start = KAN.of_layers([symbolic_layer([(0, 0, name, 1.0, 0.0, 1.3, -0.4)], 1)])
    fitted = fit_constants(start, x, y)
    with torch.no_grad():
        assert (fitted(x) - y).abs().max() < 1e-4 * (y.max() - y.min())


def test_constants_reach_the_truth() -> None:
    """From some percent away the constants reach the true ones to 1e-6, π among them."""
    x = rows_of(2)
    fitted = fit_constants(paper_kan(), x, truth(x))
    sine, square = fitted.layers[0].symbolic
    (outer,) = fitted.layers[1].symbolic
    assert sine.a == pytest.approx(math.pi, abs=1e-6)
    assert sine.b == pytest.approx(0, abs=1e-6)
    assert square.b == pytest.approx(0, abs=1e-6)
    assert outer.a * sine.c == pytest.approx(1, abs=1e-6)
    assert outer.a * square.c == pytest.approx(1, abs=1e-6)
    assert outer.c * math.exp(outer.b + outer.a * (sine.d + square.d)) == pytest.approx(1, abs=1e-6)
    # Constants whose work others do stay where a reader expects them.
    assert (square.a, outer.b) == (1, 0)


def test_linear_constants_are_those_of_least_squares() -> None:
    """Against numpy's lstsq, with noise; the bias takes part."""
    x = rows_of(2)
    y = 3 * x[:, :1] - 2 * x[:, 1:] + 0.5 + 0.3 * torch.sin(50 * x[:, :1])
    kan = KAN.of_layers([symbolic_layer([(0, 0, "x", 1, 0, 1, 0), (0, 1, "x", 1, 0, 1, 0)], 2, bias=[0.0])])
    fitted = fit_constants(kan, x, y)
    design = np.column_stack([x.numpy(), np.ones(len(x))])
    best = np.linalg.lstsq(design, y.numpy(), rcond=None)[0]
    np.testing.assert_allclose(fitted(x).detach().numpy(), design @ best, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-5, 1e5])
def test_units_do_not_matter(scale: float) -> None:
    """The same fit in micrometres and in kilometres."""
    x = rows_of(1)
    y = torch.sin(3 * x) * scale
    kan = KAN.of_layers([symbolic_layer([(0, 0, "sin", 2.7 / scale, 0.1, 0.8 * scale, 0.0)], 1)])
    fitted = fit_constants(kan, x * scale, y)
    torch.testing.assert_close(fitted(x * scale) / scale, y / scale, atol=1e-6, rtol=0)


def test_splines_and_masks_stay(make_kan: Callable[..., KAN]) -> None:
    """Only symbolic constants and biases move; the network that came in is left as it is."""
    layer = make_kan((3, 2)).layers[0].with_symbolic([SymbolicEdge(1, 2, "sin", 0.5, 0.2, 0.3, 0.4)])
    layer = layer.changed(bias=torch.tensor([1.0, 2.0], dtype=torch.float64))
    kan, x = KAN.of_layers([layer]), rows_of(3)
    before = copy.deepcopy(kan.state_dict())
    fitted = fit_constants(kan, x, kan(x).detach() + torch.sin(x[:, 2:]), steps=20)
    for name, value in fitted.state_dict().items():
        moved = name in ("layers.0.symbolic_affine", "layers.0.bias")
        assert torch.equal(value, before[name]) != moved
    assert all(torch.equal(value, before[name]) for name, value in kan.state_dict().items())


@pytest.mark.parametrize(
    ("function", "target"),
    [
        ("log", lambda x: 3 * torch.log(x + 1.0001)),
        ("sqrt", lambda x: torch.sqrt((x + 0.8).clamp(min=0))),
        ("1/x", lambda x: 50 * torch.sign(x)),
        ("exp", lambda x: 1e9 * x.square()),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_the_best_is_beyond_the_domain_it_stops_before(
    function: str, target: Callable[[Tensor], Tensor], dtype: torch.dtype
) -> None:
    """Targets that pull the arguments out of the function's domain: finite, and no worse than before."""
    x = rows_of(1).to(dtype)
    y = target(x.double())
    kan = KAN.of_layers([symbolic_layer([(0, 0, function, 1.0, 1.5, 1.0, 0.0)], 1, dtype=dtype)])
    fitted = fit_constants(kan, x, y, steps=60)
    assert torch.isfinite(fitted(x)).all()
    assert (fitted(x) - y).square().mean() < (kan(x) - y).square().mean()


def test_float32_is_rounded_once() -> None:
    """The fit of a float32 network is the float64 one's, rounded, and is float32."""
    x = rows_of(2).float()
    fitted, wanted = (fit_constants(paper_kan(dtype), x, truth(x)) for dtype in (torch.float32, torch.float64))
    assert fitted.dtype == torch.float32
    torch.testing.assert_close(fitted(x), truth(x), atol=1e-5, rtol=0)
    torch.testing.assert_close(fitted(x).double(), wanted(x.double()), atol=1e-5, rtol=0)


def test_nothing_to_gain_changes_nothing() -> None:
    """At the least error the constants are what they were."""
    x = rows_of(2)
    fitted = fit_constants(paper_kan(), x, truth(x))
    again = fit_constants(fitted, x, fitted(x).detach())
    torch.testing.assert_close(again.layers[0].symbolic_affine, fitted.layers[0].symbolic_affine, atol=0, rtol=0)


def test_the_result_lowers_to_onnx() -> None:
    """The runtime answers as float64 torch does, within 1e-5 of the range."""
    # No sine: float32 has no digits left for that of 1e6, where lowering looks too.
    first = symbolic_layer(
        [(0, 0, "tanh", 2, 0.1, 1, 0), (0, 1, "gaussian", 1, 0, 1, 0)], 2, dtype=torch.float32, bias=[0.1]
    )
    kan = KAN.of_layers([first, symbolic_layer([(0, 0, "exp", 1, 0, 1, 0)], 1, dtype=torch.float32)])
    rows = rows_of(2).float()
    fitted = fit_constants(kan, rows, truth(rows))
    answers = run(lower(fitted, tune_for=()).model, rows.numpy())
    wanted = copy.deepcopy(fitted).double()(rows.double()).detach().numpy()
    np.testing.assert_allclose(answers, wanted, atol=1e-5 * float(np.ptp(wanted)))


@pytest.mark.parametrize(
    ("rows", "targets", "steps", "message"),
    [
        (torch.zeros(0, 2), torch.zeros(0, 1), 9, r"\(0, 2\)"),
        (torch.zeros(3, 1), torch.zeros(3, 1), 9, r"rows have shape \(3, 1\)"),
        (torch.zeros(3, 2), torch.zeros(3), 9, r"targets have shape \(3,\)"),
        (torch.zeros(3, 2), torch.zeros(2, 1), 9, r"targets have shape \(2, 1\)"),
        (torch.full((3, 2), math.nan), torch.zeros(3, 1), 9, "row 0 .*input 0 is nan"),
        (torch.zeros(3, 2), torch.full((3, 1), math.inf), 9, "inf in row 0, column 0"),
        (torch.zeros(3, 2), torch.zeros(3, 1), 0, "steps is 0"),
    ],
)
def test_bad_input_is_refused(rows: Tensor, targets: Tensor, steps: int, message: str) -> None:
    """With what came and what was wanted."""
    with pytest.raises(ValueError, match=message):
        fit_constants(paper_kan(), rows, targets, steps=steps)


def test_networks_without_constants_or_answers_are_refused(make_kan: Callable[..., KAN]) -> None:
    """Splines alone have nothing to fit; a logarithm of negatives has no error to lower: which edge, which row."""
    x = rows_of(2)
    with pytest.raises(ValueError, match="no symbolic edge"):
        fit_constants(make_kan((2, 1)), x, truth(x))
    kan = KAN.of_layers([symbolic_layer([(0, 0, "log", 1, 0, 1, 0)], 1)])
    with pytest.raises(ValueError, match=r"input 0 .*nan"):
        fit_constants(kan, x[:, :1], x[:, :1])
