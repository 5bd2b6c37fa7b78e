"""Splines fitted to formulas become these formulas again."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from kan_model import FUNCTIONS, KAN, KANLayer, SymbolicEdge
from kan_model.lowering import lower
from kan_model.network.layer import Outside
from kan_model.onnx_runtime import run
from kan_model.splines.bspline import uniform_knots
from kan_model.symbolic.choice import auto_symbolic, fix_symbolic, suggest_symbolic

TRUTHS: dict[str, Callable[[Tensor], Tensor]] = {
    "x": lambda x: 3 * x - 1,
    "x^2": lambda x: (x + 0.3) ** 2,
    "x^3": lambda x: 2 * x**3 + 1,
    "sin": lambda x: torch.sin(4 * x + 0.5),
    "exp": lambda x: 0.5 * torch.exp(1.7 * x),
    "log": lambda x: torch.log(0.9 * x + 1),
    "sqrt": lambda x: torch.sqrt(0.95 * x + 1),
    "1/x": lambda x: 1 / (x + 1.3),
    "tanh": lambda x: torch.tanh(3 * x),
    "gaussian": lambda x: torch.exp(-4 * x**2),
    "abs": lambda x: torch.abs(x - 0.2),
}


def rows_of(features: int, count: int = 400, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random rows in [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(count, features, dtype=torch.float64, generator=generator) * 2 - 1).to(dtype)


def layer_of(
    functions: list[list[Callable[[Tensor], Tensor]]],
    *,
    grid_size: int = 40,
    degree: int = 3,
    outside: Outside = "clamp",
    uneven: bool = False,
    noise: float = 0.0,
    reach: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> KANLayer:
    """Splines without base that come close to these functions ([outputs][inputs]) on [-reach, reach]."""
    outputs, inputs = len(functions), len(functions[0])
    domain = torch.tensor([[-reach, reach]] * inputs, dtype=torch.float64)
    knots = uniform_knots(domain, grid_size, degree)
    if uneven:
        knots = knots + 0.2 * (2 * reach / grid_size) * torch.sin(7 * knots)
        knots = (knots - knots[:, [degree]]) / (knots[:, [-degree - 1]] - knots[:, [degree]]) * 2 * reach - reach
    x = torch.linspace(-reach, reach, 20 * grid_size, dtype=torch.float64).unsqueeze(1).expand(-1, inputs)
    base = torch.zeros(outputs, inputs, dtype=torch.float64)
    empty = torch.zeros(outputs, inputs, grid_size + degree, dtype=torch.float64)
    layer = KANLayer(base, empty, degree=degree, outside=outside, knots=knots)
    wanted = torch.stack([torch.stack([f(x[:, 0]) for f in row]) for row in functions]).permute(2, 1, 0)
    generator = torch.Generator().manual_seed(1)
    wanted = wanted + noise * wanted.std(dim=0) * torch.randn(wanted.shape, dtype=torch.float64, generator=generator)
    design = layer.basis(x)
    coefficients = torch.stack(
        [torch.linalg.lstsq(design[:, i], wanted[:, i], driver="gelsd").solution.T for i in range(inputs)], dim=1
    )
    return KANLayer(
        base.to(dtype),
        coefficients.to(dtype),
        degree=degree,
        outside=outside,
        knots=knots.to(dtype) if uneven else None,
        domain=None if uneven else domain.to(dtype),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_spline_is_known_again(name: str, noise: float) -> None:
    """From a spline close to a function, and from one fitted to noisy values of it: the function comes first."""
    kan = KAN.of_layers([layer_of([[TRUTHS[name]]], grid_size=12 if noise else 40, noise=noise)])
    x = rows_of(1)
    # With noise, against the whole library.
    ranked = suggest_symbolic(kan, x, 0, 0, 0, functions=None if noise else list(TRUTHS))
    best = ranked[0]
    assert best.edge.function == name
    assert best.r2 > (0.999 if noise else 0.9999)
    assert best.complexity == FUNCTIONS[name].complexity
    assert [each.score for each in ranked[1:]] == sorted(each.score for each in ranked[1:])
    fixed = fix_symbolic(kan, best.layer, best.edge)
    scale = TRUTHS[name](x).std()
    assert (fixed(x) - TRUTHS[name](x)).square().mean().sqrt() < (0.02 if noise else 0.01) * scale


def test_of_equal_fits_the_plainer_one_comes_first() -> None:
    """A cosine is a shifted sine: the one with less shift. A line is a part of most functions: the line."""
    layer = layer_of([[lambda x: torch.cos(3 * x), lambda x: torch.sin(3 * x), lambda x: 2 * x]])
    kan, x = KAN.of_layers([layer]), rows_of(3)
    names = [
        suggest_symbolic(kan, x, 0, 0, input_, functions=["sin", "cos", "x", "exp"])[0].edge.function
        for input_ in range(3)
    ]
    assert names == ["cos", "sin", "x"]


def test_weight_trades_error_for_complexity() -> None:
    """0 takes the smallest error, much takes the line."""
    kan, x = KAN.of_layers([layer_of([[TRUTHS["exp"]]])]), rows_of(1)
    by_error = suggest_symbolic(kan, x, 0, 0, 0, weight=0, functions=["x", "x^2", "exp", "sinh"])
    assert by_error[0].r2 == pytest.approx(max(each.r2 for each in by_error), abs=1e-6)
    assert suggest_symbolic(kan, x, 0, 0, 0, weight=20, functions=["exp", "x"])[0].edge.function == "x"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("degree", "outside", "uneven"),
    # All pairs of two of these.
    [
        (1, "clamp", False),
        (1, "decay", True),
        (3, "clamp", True),
        (3, "decay", False),
        (5, "clamp", False),
        (5, "decay", True),
    ],
)
def test_every_kind_of_network_becomes_symbolic(degree: int, outside: Outside, uneven: bool) -> None:
    """Splines of exp(sin(πx) + y²) become the formula; the second layer is fitted on the first layer's outputs."""
    first = layer_of(
        [[lambda x: torch.sin(math.pi * x), torch.square]], degree=degree, outside=outside, uneven=uneven, grid_size=60
    )
    second = layer_of([[torch.exp]], degree=degree, outside=outside, uneven=uneven, grid_size=60, reach=2.2)
    kan, x = KAN.of_layers([first, second]), rows_of(2)
    found = auto_symbolic(kan, x, functions=["x", "x^2", "sin", "exp", "tanh"])
    assert [report.best.edge.function for report in found.edges if report.best] == ["sin", "x^2", "exp"]
    assert all(report.fixed for report in found.edges)
    assert not found.splines
    truth = torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2)
    assert (found.kan(x) - truth).abs().max() < 5e-3 * (truth.max() - truth.min())


def test_later_edges_are_fitted_on_what_reaches_them() -> None:
    """A first layer that turns from a wiggle into its line feeds less, and the second is fitted there."""
    first = layer_of([[lambda x: x + 0.05 * torch.sin(20 * x)]])
    second = layer_of([[torch.abs]], reach=1.1)
    x = rows_of(1) * 0.5 + 0.5
    found = auto_symbolic(KAN.of_layers([first, second]), x, functions=["x", "abs"], min_r2=0.95)
    assert [report.best.edge.function for report in found.edges if report.best] == ["x", "x"]
    own = found.kan.layers[0](x)
    (alone,) = suggest_symbolic(KAN.of_layers([second]), own, 0, 0, 0, functions=["x"])
    assert found.edges[1].best is not None
    assert found.edges[1].best.edge == alone.edge


def test_what_is_not_good_enough_stays_a_spline() -> None:
    """An edge without a good formula stays a spline; the report has the best candidate, the network is unchanged."""
    kan = KAN.of_layers([layer_of([[lambda x: torch.sin(25 * x) * x, torch.exp]])])
    x = rows_of(2)
    found = auto_symbolic(kan, x, functions=["x", "sin", "exp", "tanh"])
    (spline,) = found.splines
    assert (spline.layer, spline.output, spline.input, spline.fixed) == (0, 0, 0, False)
    assert spline.best is not None
    assert spline.best.r2 < 0.99
    assert [(edge.output, edge.input, edge.function) for edge in found.kan.layers[0].symbolic] == [(0, 1, "exp")]
    torch.testing.assert_close(found.kan(x), kan(x), atol=1e-4, rtol=0)


def test_masked_and_symbolic_edges_stay(make_kan: Callable[..., KAN]) -> None:
    """Edges that are not there do not come back, formulas that are there keep their numbers, biases too."""
    layer = make_kan((3, 2)).layers[0].with_symbolic([SymbolicEdge(1, 2, "sin", 0.1, 0.2, 0.3, 0.4)])
    layer = layer.changed(bias=torch.tensor([1.0, 2.0], dtype=torch.float64))
    layer.edge_mask[0, 1] = 0
    found = auto_symbolic(KAN.of_layers([layer]), rows_of(3), min_r2=1e-9, functions=["x", "x^2"])
    assert not found.kan.layers[0].active_edges[0, 1]
    assert found.kan.layers[0].symbolic[0] == layer.symbolic[0]
    bias = found.kan.layers[0].bias
    assert bias is not None
    assert bias.tolist() == [1, 2]
    assert {(edge.output, edge.input) for edge in found.edges} == {(0, 0), (0, 2), (1, 0), (1, 1)}
    for place, message in (((1, 2), "is symbolic already"), ((0, 1), "has no edge from input 1 to output 0")):
        with pytest.raises(ValueError, match=message):
            suggest_symbolic(KAN.of_layers([layer]), rows_of(3), 0, *place)


def test_layers_can_wait_their_turn(make_kan: Callable[..., KAN]) -> None:
    """Only edges of the layers named change."""
    kan = make_kan((2, 2, 1))
    found = auto_symbolic(kan, rows_of(2), layers=[1], min_r2=1e-9, functions=["x"])
    assert {edge.layer for edge in found.edges} == {1}
    assert not found.kan.layers[0].symbolic
    assert len(found.kan.layers[1].symbolic) == 2


def test_a_long_search_can_be_ended_between_edges(make_kan: Callable[..., KAN]) -> None:
    """The check comes before each spline of the layers that may change, and what it raises comes out."""
    kan, calls = make_kan(), [0]

    def check() -> None:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt

    splines = int((kan.layers[0].edge_mask != 0).sum())
    assert splines > 3
    with pytest.raises(KeyboardInterrupt):
        auto_symbolic(kan, rows_of(kan.width[0]), functions=["x"], layers=[0], check=check)
    assert calls == [3]
    auto_symbolic(kan, rows_of(kan.width[0]), functions=["x"], layers=[0], check=check)
    assert calls == [3 + splines]


def test_a_flat_edge_becomes_a_constant() -> None:
    """A flat edge becomes a constant: c = 0."""
    layer = layer_of([[lambda x: 0 * x, torch.exp]])
    found = auto_symbolic(KAN.of_layers([layer]), rows_of(2), functions=["x", "exp"])
    assert found.edges[0].best is not None
    assert (found.edges[0].best.edge.c, found.edges[0].best.r2) == (0, 1)


def test_the_network_is_left_as_it_is(make_kan: Callable[..., KAN]) -> None:
    """suggest, fix and auto do not change the network, and their results share no memory with it."""
    kan, x = make_kan((2, 2, 1)), rows_of(2)
    before = copy.deepcopy(kan.state_dict())
    best = suggest_symbolic(kan, x, 1, 0, 1, functions=["x"])[0]
    results = [fix_symbolic(kan, 1, best.edge), auto_symbolic(kan, x, functions=["x"], min_r2=1e-9).kan]
    for result in results:
        with torch.no_grad():
            for parameter in result.parameters():
                parameter.add_(1)
    assert all(torch.equal(value, before[name]) for name, value in kan.state_dict().items())
    assert all(layer.symbolic_affine is None for layer in kan.layers)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_result_lowers_to_onnx(dtype: torch.dtype) -> None:
    """The runtime answers as float64 torch does, within 1e-5 of the range."""
    kan = KAN.of_layers(
        [layer_of([[TRUTHS["sqrt"], torch.square]], dtype=dtype), layer_of([[torch.exp]], reach=2.6, dtype=dtype)]
    )
    rows = rows_of(2, dtype=dtype)
    found = auto_symbolic(kan, rows, functions=["x", "x^2", "sqrt", "exp", "log"])
    assert not found.splines
    features = rows.float().numpy()
    answers = run(lower(found.kan, tune_for=()).model, features)
    with torch.no_grad():
        wanted = copy.deepcopy(found.kan).double()(torch.from_numpy(features).double()).numpy()
    np.testing.assert_allclose(answers, wanted, atol=1e-5 * float(np.ptp(wanted)))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (torch.zeros(1, 2), r"\(1, 2\)"),
        (torch.zeros(0, 2), r"rows have shape \(0, 2\)"),
        (torch.zeros(5, 3), r"rows have shape \(5, 3\)"),
        (torch.zeros(5), r"rows have shape \(5,\)"),
        (torch.tensor([[0.0, 1.0], [math.nan, 2.0]]), "row 1 .*input 0 is nan"),
        (torch.tensor([[0.0, math.inf], [1.0, 2.0]]), "row 0 .*input 1 is inf"),
    ],
)
def test_bad_rows_are_refused(make_kan: Callable[..., KAN], rows: Tensor, message: str) -> None:
    """suggest_symbolic and auto_symbolic refuse bad rows."""
    kan = make_kan((2, 1))
    with pytest.raises(ValueError, match=message):
        suggest_symbolic(kan, rows, 0, 0, 0)
    with pytest.raises(ValueError, match=message):
        auto_symbolic(kan, rows)


def test_places_and_options_that_are_none_are_refused(make_kan: Callable[..., KAN]) -> None:
    """With what came and what was wanted."""
    kan, x = make_kan((2, 1)), rows_of(2)
    with pytest.raises(ValueError, match="layer is 1"):
        suggest_symbolic(kan, x, 1, 0, 0)
    with pytest.raises(ValueError, match="no edge from input 2"):
        suggest_symbolic(kan, x, 0, 0, 2)
    with pytest.raises(ValueError, match="weight is -1"):
        suggest_symbolic(kan, x, 0, 0, 0, weight=-1)
    with pytest.raises(ValueError, match=r"functions are \['sine'\]"):
        suggest_symbolic(kan, x, 0, 0, 0, functions=["sine"])
    with pytest.raises(ValueError, match="layer is -1"):
        fix_symbolic(kan, -1, SymbolicEdge(0, 0, "x", 1, 0, 1, 0))
    with pytest.raises(ValueError, match="symbolic edge from input 5"):
        fix_symbolic(kan, 0, SymbolicEdge(0, 5, "x", 1, 0, 1, 0))
    for min_r2 in (0.0, 1.5, math.nan):
        with pytest.raises(ValueError, match=f"min_r2 is {min_r2}"):
            auto_symbolic(kan, x, min_r2=min_r2)
    with pytest.raises(ValueError, match="layer is 7"):
        auto_symbolic(kan, x, layers=[7])
