"""One layer against its formula."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from kan_model import KAN, KANLayer, refine_grid
from kan_model.lowering import lower
from kan_model.network.layer import Outside
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.onnx_runtime import run


@pytest.fixture
def symbolic_layer(make_kan: Callable[..., KAN]) -> KANLayer:
    """Three inputs, two nodes, three of the six edges symbolic, two of them by the same function."""
    edges = [
        SymbolicEdge(1, 2, "sin", 2.0, 0.3, 0.5, -1.0),
        SymbolicEdge(0, 0, "gaussian", 1.5, -0.2, -0.7, 0.4),
        SymbolicEdge(0, 2, "sin", -0.9, 0.0, 1.2, 0.1),
    ]
    return make_kan((3, 2)).layers[0].with_symbolic(edges)


@pytest.mark.parametrize("uneven", [False, True])
def test_layer_is_the_papers_formula(make_kan: Callable[..., KAN], uneven: bool) -> None:
    """Every node is Σ base_weight·silu(x) + spline(clip(x)), the spline by SciPy."""
    layer = make_kan((3, 2), uneven=uneven).layers[0]
    x = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    expected = np.zeros((200, 2))
    for i, knots in enumerate(layer.all_knots().numpy()):
        inside = np.clip(x[:, i].numpy(), knots[3], knots[-4])
        silu = x[:, i].numpy() / (1 + np.exp(-x[:, i].numpy()))
        for o in range(2):
            spline = BSpline(knots, layer.coefficients[o, i].detach().numpy(), 3)
            expected[:, o] += layer.base_weight[o, i].item() * silu + spline(inside)
    np.testing.assert_allclose(layer(x).detach(), expected, atol=1e-12)


@pytest.mark.parametrize("uneven", [False, True])
def test_decay_falls_to_the_base_branch_and_clamp_holds_the_end(make_kan: Callable[..., KAN], uneven: bool) -> None:
    """Far outside, a spline under decay is zero; under clamp it is its value at the domain's end."""
    far = torch.full((1, 3), 50.0, dtype=torch.float64)
    base_only = {}
    for outside in ("decay", "clamp"):
        layer = make_kan((3, 2), outside=outside, uneven=uneven).layers[0]
        base_only[outside] = layer(far) - torch.nn.functional.silu(far) @ layer.base_weight.T
        at_end = layer(layer.domain[:, 1:].T) - torch.nn.functional.silu(layer.domain[:, 1:].T) @ layer.base_weight.T
    torch.testing.assert_close(base_only["decay"], torch.zeros_like(base_only["decay"]), atol=1e-12, rtol=0)
    torch.testing.assert_close(base_only["clamp"], at_end, atol=1e-12, rtol=0)


def test_edge_outputs_sum_to_the_nodes(make_kan: Callable[..., KAN], symbolic_layer: KANLayer) -> None:
    """Nodes only add, symbolic edges or not."""
    x = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for layer in (make_kan().layers[0], symbolic_layer):
        torch.testing.assert_close(layer.edge_outputs(x).sum(dim=2), layer(x))


def test_a_masked_input_has_no_influence(make_kan: Callable[..., KAN]) -> None:
    """Pruned edges add nothing, whatever the input, and get no gradient."""
    layer = make_kan((3, 2)).layers[0]
    layer.edge_mask[:, 1] = 0
    x = torch.zeros(2, 3, dtype=torch.float64)
    x[1, 1] = 123.0
    y = layer(x)
    torch.testing.assert_close(y[0], y[1], rtol=1e-12, atol=1e-12)
    y.sum().backward()
    assert layer.coefficients.grad is not None
    assert layer.coefficients.grad[:, 1].abs().max() == 0


def test_gradients_agree_with_finite_differences(make_kan: Callable[..., KAN]) -> None:
    """Autograd through the closed form is the derivative."""
    layer = make_kan((2, 2)).layers[0]
    x = torch.tensor([[0.13, -0.71], [0.4, 0.9]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_symbolic_edges_are_their_formula_alone(symbolic_layer: KANLayer, make_kan: Callable[..., KAN]) -> None:
    """Each is c·f(a·x + b) + d without spline and base branch; all other edges are as they were."""
    x = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = make_kan((3, 2)).layers[0].edge_outputs(x).detach().numpy()
    column = x.numpy().T
    expected[:, 1, 2] = 0.5 * np.sin(2.0 * column[2] + 0.3) - 1.0
    expected[:, 0, 0] = -0.7 * np.exp(-((1.5 * column[0] - 0.2) ** 2)) + 0.4
    expected[:, 0, 2] = 1.2 * np.sin(-0.9 * column[2]) + 0.1
    np.testing.assert_allclose(symbolic_layer.edge_outputs(x).detach(), expected, atol=1e-14)
    np.testing.assert_allclose(symbolic_layer(x).detach(), expected.sum(axis=2), atol=1e-14)


def test_symbolic_edges_come_back_as_they_were_given(symbolic_layer: KANLayer, make_kan: Callable[..., KAN]) -> None:
    """Symbolic edges come back in their order with their numbers; a layer without any has no parameter for them."""
    assert symbolic_layer.symbolic_places == ((1, 2), (0, 0), (0, 2))
    assert symbolic_layer.symbolic_functions == ("sin", "gaussian", "sin")
    assert symbolic_layer.symbolic[1] == SymbolicEdge(0, 0, "gaussian", 1.5, -0.2, -0.7, 0.4)
    plain = make_kan((3, 2)).layers[0]
    assert plain.symbolic == ()
    assert {name for name, _ in symbolic_layer.named_parameters()} == {
        "base_weight",
        "coefficients",
        "symbolic_affine",
    }
    assert {name for name, _ in plain.named_parameters()} == {"base_weight", "coefficients"}


@pytest.mark.parametrize("uneven", [False, True])
def test_with_symbolic_adds_to_a_copy(make_kan: Callable[..., KAN], uneven: bool) -> None:
    """Edges that were symbolic stay so, or take the new formula where it is for them; the layer itself is left."""
    layer = make_kan((3, 2), uneven=uneven, outside="decay").layers[0]
    one, other = SymbolicEdge(0, 1, "exp", 0.5, 0.0, 1.0, 0.0), SymbolicEdge(1, 1, "abs", 2.0, 0.0, 1.0, 0.0)
    instead = SymbolicEdge(0, 1, "sin", 3.0, 0.0, 1.0, 0.0)
    both = layer.with_symbolic([one]).with_symbolic([other])
    assert both.symbolic == (one, other)
    assert both.with_symbolic([instead]).symbolic == (other, instead)
    assert layer.symbolic == ()
    assert layer.active_edges.all()
    x = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(both.edge_outputs(x)[:, :, ::2], layer.edge_outputs(x)[:, :, ::2])


def test_active_edges_are_those_not_masked_and_the_symbolic_ones(make_kan: Callable[..., KAN]) -> None:
    """The mask that was given stays as it is; in the layer's own, symbolic edges are off."""
    parts, mask = make_kan((3, 2)).layers[0], torch.ones(2, 3, dtype=torch.float64)
    mask[:, 1] = 0
    given = mask.clone()
    edges = [SymbolicEdge(0, 0, "x", 1, 0, 1, 0), SymbolicEdge(1, 1, "x", 1, 0, 1, 0)]
    layer = KANLayer(
        parts.base_weight.detach(),
        parts.coefficients.detach(),
        degree=3,
        outside="clamp",
        domain=parts.domain,
        edge_mask=mask,
        symbolic=edges,
    )
    assert torch.equal(mask, given)
    assert layer.edge_mask.tolist() == [[0, 0, 1], [1, 0, 1]]
    assert layer.active_edges.tolist() == [[True, False, True], [True, True, True]]


def test_gradients_of_symbolic_numbers_agree_with_finite_differences(symbolic_layer: KANLayer) -> None:
    """Those of a, b, c and d, of the inputs, and of the splines beside them; none reach the spline beneath."""
    x = torch.tensor([[0.13, -0.71, 0.2], [0.4, 0.9, -0.6]], dtype=torch.float64, requires_grad=True)
    parameters = {name: value.detach().requires_grad_() for name, value in symbolic_layer.named_parameters()}

    def forward(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        named = dict(zip(parameters, values, strict=True))
        result: torch.Tensor = torch.func.functional_call(symbolic_layer, named, (x,))
        return result

    assert torch.autograd.gradcheck(forward, (x, *parameters.values()))
    symbolic_layer(x).square().sum().backward()
    assert symbolic_layer.base_weight.grad is not None
    assert (symbolic_layer.base_weight.grad != 0).tolist() == (symbolic_layer.edge_mask != 0).tolist()


@pytest.mark.parametrize("optimiser", ["LBFGS", "Adam"])
def test_symbolic_numbers_can_be_trained_on(symbolic_layer: KANLayer, optimiser: str) -> None:
    """Moved away from the numbers that made the data, they come back; a copy and its origin share nothing."""
    layer = copy.deepcopy(symbolic_layer)
    before = symbolic_layer.symbolic
    x = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = symbolic_layer(x).detach()
    assert layer.symbolic_affine is not None
    with torch.no_grad():
        layer.symbolic_affine += 0.05
    layer.base_weight.requires_grad_(False)
    layer.coefficients.requires_grad_(False)
    fit: torch.optim.Optimizer
    if optimiser == "LBFGS":
        fit = torch.optim.LBFGS(layer.parameters(), max_iter=100, line_search_fn="strong_wolfe")
    else:
        fit = torch.optim.Adam(layer.parameters(), lr=0.01)

    def closure() -> torch.Tensor:
        fit.zero_grad()
        loss: torch.Tensor = (layer(x) - y).square().mean()
        torch.autograd.backward(loss)
        return loss

    start = closure().item()
    for _ in range(1 if optimiser == "LBFGS" else 200):
        fit.step(closure)  # type: ignore[no-untyped-call]
    assert closure().item() < start / 100
    assert symbolic_layer.symbolic == before


def test_a_change_of_type_takes_symbolic_edges_along(symbolic_layer: KANLayer) -> None:
    """A float32 copy answers in float32 what the layer answers, its places still integers."""
    x = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    single = copy.deepcopy(symbolic_layer).float()
    assert single(x.float()).dtype == torch.float32
    torch.testing.assert_close(single(x.float()).double(), symbolic_layer(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(single.double()(x), symbolic_layer(x), atol=1e-5, rtol=1e-5)


def test_a_formula_outside_its_domain_spoils_only_its_own_node(make_kan: Callable[..., KAN]) -> None:
    """The logarithm of a negative number is NaN there, and nowhere else."""
    layer = make_kan((3, 2)).layers[0].with_symbolic([SymbolicEdge(1, 0, "log", 1, 0, 1, 0)])
    x = torch.tensor([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0]], dtype=torch.float64)
    assert torch.isnan(layer(x)).tolist() == [[False, True], [False, False]]


@pytest.mark.slow
@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("pole", ["1/x", "log"])
def test_an_infinite_node_gives_no_finite_answer(
    make_kan: Callable[..., KAN], pole: str, outside: Outside, uniform: bool
) -> None:
    """At a pole a hidden node is infinite: torch in both types and the graph answer NaN or an infinity, not a number.

    Which of the two is left open: 0 · ∞ and ∞ − ∞ come about in one order of operations and not in another.
    """
    kan = make_kan((1, 2, 2), outside=outside)
    first = kan.layers[0].with_symbolic([SymbolicEdge(0, 0, pole, 1, 0, 1, 0)])
    second = kan.layers[1]
    knots = second.all_knots() + 0.01 * torch.sin(second.all_knots())
    kan = KAN.of_layers([first, second if uniform else second.changed(knots=knots)])
    x = torch.tensor([[0.0], [0.5]])
    with torch.no_grad():
        assert torch.isinf(first(x.double())[0, 0])
        answers = [kan(x.double()), copy.deepcopy(kan).float()(x)]
    answers.append(torch.from_numpy(run(lower(kan, tune_for=()).model, x.numpy())))
    for each in answers:
        assert torch.isfinite(each).tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("uniform", [True, False])
def test_far_outside_a_decayed_spline_is_zero(make_kan: Callable[..., KAN], uniform: bool, dtype: torch.dtype) -> None:
    """As far as the type reaches, its infinities too; NaN is NaN."""
    layer = make_kan((3, 2), outside="decay", uneven=not uniform, dtype=dtype).layers[0]
    most = torch.finfo(dtype).max
    x = torch.tensor([[most], [-most], [math.inf], [-math.inf]], dtype=dtype).expand(-1, 3)
    assert (layer.basis(x) == 0).all()
    assert torch.isnan(layer.basis(torch.full((1, 3), math.nan, dtype=dtype))).any(dim=2).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outside": "wrap"}, "outside is 'wrap'"),
        ({"base_weight": torch.zeros(2, 4)}, "base_weight has shape"),
        ({"coefficients": torch.zeros(2, 3, 2)}, "coefficients have shape"),
        ({"domain": torch.tensor([[0.0, 1], [1.0, 1], [0.0, 1]])}, "feature 1"),
        ({"domain": None}, "either domain"),
        ({"edge_mask": torch.ones(5, 5)}, "edge_mask has shape"),
        ({"bias": torch.zeros(3)}, r"bias .*\(3,\)"),
        ({"symbolic": [SymbolicEdge(2, 0, "x", 1, 0, 1, 0)]}, "to output 2; wanted"),
        ({"symbolic": [SymbolicEdge(0, -1, "x", 1, 0, 1, 0)]}, "from input -1"),
        ({"symbolic": [SymbolicEdge(1, 2, f, 1, 0, 1, 0) for f in ("x", "sin")]}, "2 symbolic edges"),
        ({"symbolic": [SymbolicEdge(1, 2, "x", 1, 0, 1e39, 0)]}, r"c=1e\+39.* cannot hold"),
        ({"degree": 6, "coefficients": torch.zeros(2, 3, 11)}, "degree is 6"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    """The error says what came and what was wanted."""
    parts: dict[str, object] = {
        "base_weight": torch.zeros(2, 3),
        "coefficients": torch.zeros(2, 3, 8),
        "degree": 3,
        "outside": "clamp",
        "domain": torch.tensor([[0.0, 1]] * 3),
    }
    with pytest.raises(ValueError, match=message):
        KANLayer(**(parts | changes))  # type: ignore[arg-type]


def test_a_bias_is_added_to_the_nodes(make_kan: Callable[..., KAN]) -> None:
    """It is on no edge, is trained, and goes along into copies; a layer without one has no such parameter."""
    layer = make_kan().layers[0]
    bias = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    biased = layer.changed(bias=bias)
    x = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(biased(x), layer(x) + bias, rtol=1e-13, atol=1e-13)
    assert torch.equal(biased.edge_outputs(x), layer.edge_outputs(x))
    assert "bias" in dict(biased.named_parameters())
    assert "bias" not in dict(layer.named_parameters())
    refined = refine_grid(KAN.of_layers([biased.with_symbolic([SymbolicEdge(0, 1, "sin", 1, 2, 3, 4)])]), 10).layers[0]
    assert refined.bias is not None
    assert torch.equal(refined.bias, bias)


def test_a_changed_layer_is_a_copy(make_kan: Callable[..., KAN]) -> None:
    """What is not named is as it was, on memory of its own."""
    layer = make_kan(uneven=True).layers[0]
    changed = layer.changed(outside="decay")
    assert (layer.outside, changed.outside) == ("clamp", "decay")
    assert torch.equal(changed.all_knots(), layer.all_knots())
    with torch.no_grad():
        changed.coefficients.zero_()
    assert layer.coefficients.abs().min() > 0
