"""The error that float32 alone can cause is computed, and nothing more is excused."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from kan_model import KAN, KANConfig, SymbolicEdge
from kan_model.lowering import lower
from kan_model.lowering.checks.reference import Reference
from kan_model.lowering.checks.rounding import float32_edge_errors, float32_error, is_steep, rounding
from kan_model.lowering.emit.network import explaining_model, predicting_model
from kan_model.lowering.strategies.closed_form import ClosedForm

MakeKAN = Callable[..., KAN]


def _symbolic(width: tuple[int, ...], *layers: list[SymbolicEdge]) -> KAN:
    """A network with only these edges."""
    kan = KAN(KANConfig(width), dtype=torch.float64)
    return KAN.of_layers(
        [
            layer.changed(edge_mask=torch.zeros_like(layer.edge_mask), symbolic=edges)
            for layer, edges in zip(kan.layers, layers, strict=True)
        ]
    )


_SINE = SymbolicEdge(0, 0, "sin", 3.0, 0.0, 1.0, 0.0)


def test_a_sine_of_a_large_number_is_open_by_what_its_argument_is() -> None:
    """|d sin(3x)| = |3 cos(3x)| · |dx| with |dx| up to x · 2^-24, as much again from 3, and 2^-24 of the answer."""
    x = torch.tensor([[0.5], [100.0], [1e4]], dtype=torch.float64)
    found = rounding(_symbolic((1, 1), [_SINE]), x)
    wanted = 2.0**-24 * (3 * torch.cos(3 * x) * x).abs().numpy() + 2.0**-24
    assert np.all(found.spread <= 2.1 * wanted)
    assert np.all(found.spread >= 0.5 * wanted)
    assert not found.overflow.any()


def test_numbers_that_float32_does_not_hold_are_seen() -> None:
    """log(exp(x)) overflows on the way, though the result is small."""
    kan = _symbolic((1, 1, 1), [SymbolicEdge(0, 0, "exp", 1, 0, 1, 0)], [SymbolicEdge(0, 0, "log", 1, 0, 1, 0)])
    found = rounding(kan, torch.tensor([[80.0], [100.0]], dtype=torch.float64))
    assert found.overflow.tolist() == [False, True]


def test_a_function_may_pass_it_before_its_factor() -> None:
    """0.01 · exp(90) is 1.2e37, which float32 holds, exp(90) is not; a graph computes that first."""
    kan = _symbolic((1, 1), [SymbolicEdge(0, 0, "exp", 1, 0, 0.01, 0)])
    found = rounding(kan, torch.tensor([[80.0], [90.0]], dtype=torch.float64))
    assert found.overflow.tolist() == [False, True]


def _times_constant(constant: float) -> KAN:
    """φ(x) · constant: of the second factor of the product only the bias is left."""
    (layer,) = KAN(KANConfig((1, (0, 1)), noise=0.5), dtype=torch.float64).layers
    mask, bias = torch.tensor([[1.0], [0.0]]).double(), torch.tensor([0.0, constant]).double()
    return KAN.of_layers([layer.changed(edge_mask=mask, bias=bias)])


def test_a_constant_factor_counts() -> None:
    """φ(1000) is about −263: times 1e34 float32 holds it, times 1e37 it does not."""
    rows = torch.tensor([[1000.0]], dtype=torch.float64)
    for constant, overflow in ((1e34, False), (1e37, True)):
        kan = _times_constant(constant)
        assert bool(kan(rows).abs() > np.finfo(np.float32).max) == overflow
        assert rounding(kan, rows).overflow.tolist() == [overflow]


@pytest.mark.parametrize("constant", [3.0, 1e34])
def test_products_with_constant_factors_are_lowered(constant: float) -> None:
    """Also where the answers far outside are beyond float32; within it the graph is held to the tolerance."""
    assert lower(_times_constant(constant), tune_for=()).report.max_relative_error <= 1e-5


def test_a_constant_factor_is_rounded_too() -> None:
    """An answer that is its bias is known to half a unit in the last place."""
    kan = _times_constant(3.0)
    both = KAN.of_layers(
        [kan.layers[0].changed(edge_mask=torch.zeros(2, 1).double(), bias=torch.tensor([2.0, 3.0]).double())]
    )
    found = rounding(both, torch.zeros(50, 1, dtype=torch.float64))
    assert 0 < found.spread.max() <= 6 * 2 * 2.0**-24 * 1.001


@pytest.mark.parametrize(
    "function",
    [
        *("sin", "exp", "log", "1/sqrt(x)"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("cos", "x^5", "tanh", "sqrt", "arcsin")),
    ],
)
def test_networks_with_such_edges_are_lowered(function: str, make_kan: MakeKAN) -> None:
    """Networks with symbolic edges are lowered, with features up to 1e6, also if some rows have no answer."""
    first, second = make_kan((2, 3, 1)).layers
    kan = KAN.of_layers([first.with_symbolic([SymbolicEdge(1, 0, function, 0.7, 0.8, 1.0, 0.0)]), second])
    assert lower(kan, tune_for=()).report.max_relative_error <= 1e-5


def test_a_shift_is_rounded_too() -> None:
    """In sin(x + 1000) the rounding of 1000 counts, however small x is."""
    edge = SymbolicEdge(0, 0, "sin", 1.0, 1000.0, 1.0, 0.0)
    found = rounding(_symbolic((1, 1), [edge]), torch.tensor([[1e-3]], dtype=torch.float64))
    wanted = 2.0**-24 * 1000 * abs(np.cos(1000))
    assert 0.5 * wanted < found.spread[0, 0] < 2 * wanted


def test_beside_a_pole_all_is_open() -> None:
    """Next to a pole the whole answer is open; near the zero of a wave it is not."""
    x = torch.tensor([[1.0], [float(np.pi / 2) + 1e-8]], dtype=torch.float64)
    found = rounding(_symbolic((1, 1), [SymbolicEdge(0, 0, "tan", 1.0, 0.0, -2.0, 5.0)]), x)
    assert found.lost.tolist() == [False, True]
    x = torch.tensor([[float(np.pi) + 1e-8]], dtype=torch.float64)
    assert not rounding(_symbolic((1, 1), [SymbolicEdge(0, 0, "sin", 1.0, 0.0, -2.0, 5.0)]), x).lost.any()


# Their poles and ends lie inside the domain, or within three of it; or the wave is fast.
_STEEP_EDGES = [
    ("tan", 1.1, 0.2),
    ("tan", 3.1, 0.1),
    ("tan", 200.0, 1.0),
    ("1/x", 1.03, 2.7),
    ("1/x^2", 1.0, 2.3),
    ("1/sqrt(x)", 1.7, 0.3),
    ("log", 1.7, 0.3),
    ("x^1.5", 30.0, 0.0),
    ("sin", 150.0, 1.0),
]


@pytest.mark.slow
@pytest.mark.parametrize(("function", "a", "b"), _STEEP_EDGES)
def test_networks_with_poles_are_lowered(function: str, a: float, b: float) -> None:
    """Beside a pole no graph in float32 is right to 1e-5; everywhere else this one is, on eight times the rows too."""
    kan = _symbolic((1, 1), [SymbolicEdge(0, 0, function, a, b, 1.3, -0.4)])
    model = lower(kan, tune_for=()).model
    assert Reference(kan).compare(model).max_relative_error <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("function", "a", "b"), _STEEP_EDGES)
@pytest.mark.parametrize("change", [1e-4, -1e-4])
def test_a_wrong_shift_is_found_beside_poles_too(function: str, a: float, b: float, change: float) -> None:
    """What is excused next to a pole hides no error: a shift off by 1e-4 is found."""
    kan = _symbolic((1, 1), [SymbolicEdge(0, 0, function, a, b, 1.3, -0.4)])
    wrong = _symbolic((1, 1), [SymbolicEdge(0, 0, function, a, b + change, 1.3, -0.4)])
    model = predicting_model(wrong, None, None, [ClosedForm()])
    assert Reference(kan, scale=np.ones(1)).compare(model).max_relative_error > 1e-5


@pytest.mark.parametrize(
    ("function", "a", "b"),
    [*_STEEP_EDGES[::2], *(pytest.param(*edge, marks=pytest.mark.slow) for edge in _STEEP_EDGES[1::2])],
)
def test_edges_that_explain_are_held_likewise(function: str, a: float, b: float) -> None:
    """Behind another layer, the right graph's edges pass, beside poles too; a shift off by 1e-3 is found."""

    def network(b: float) -> KAN:
        first = [SymbolicEdge(0, 0, "x", 1.0, 0.0, 1.0, 0.0)]
        return _symbolic((1, 1, 1), first, [SymbolicEdge(0, 0, function, a, b, 1.3, -0.4)])

    reference, strategies = Reference(network(b), scale=np.ones(1)), [ClosedForm(), ClosedForm()]
    assert reference.compare_edges(explaining_model(network(b), None, None, strategies)) <= 1e-5
    for change in (1e-3, -1e-3):
        wrong = explaining_model(network(b + change), None, None, strategies)
        assert reference.compare_edges(wrong) > 1e-5


def test_of_splines_no_edge_is_open(make_kan: MakeKAN) -> None:
    """Edges of networks without symbolic ones are held to every digit."""
    opened = float32_edge_errors(make_kan(), torch.full((3, 3), 1e3, dtype=torch.float64))
    assert all(not layer.any() for layer in opened)


@pytest.mark.parametrize("change", [1e-4, -1e-4])
def test_a_wrong_constant_is_still_found(change: float) -> None:
    """For rows like those of training nothing is excused: a frequency off by 1e-4 is far beyond the tolerance."""
    kan = _symbolic((1, 1), [_SINE])
    model = lower(kan, tune_for=()).model
    assert Reference(kan).compare(model).max_relative_error < 1e-6
    wrong = onnx.ModelProto()
    wrong.CopyFrom(model)
    (place,) = [
        number
        for number, tensor in enumerate(wrong.graph.initializer)
        if np.allclose(numpy_helper.to_array(tensor), 3.0)
    ]
    tensor = wrong.graph.initializer[place]
    numbers = (numpy_helper.to_array(tensor) * (1 + change)).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(numbers, tensor.name))
    assert Reference(kan).compare(wrong).max_relative_error > 5e-5


def test_of_splines_nothing_is_open(make_kan: MakeKAN) -> None:
    """For splines alone nothing is excused, also far outside."""
    kan = make_kan()
    assert float32_error(kan, torch.full((3, 3), 1e6, dtype=torch.float64), None).max() == 0


def test_an_infinite_error_is_steep_however_many_rows_have_one() -> None:
    """At the ends of the domain half of the rows lie at the end of a root's domain; their median is infinite too."""
    inherent = np.array([[np.inf, 1.0], [np.inf, 1.0], [np.inf, 1.0], [1.0, 20.0]])
    assert is_steep(inherent).tolist() == [[True, False], [True, False], [True, False], [False, True]]
