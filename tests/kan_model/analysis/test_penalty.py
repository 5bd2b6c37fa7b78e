"""The penalty is the paper's, and safe where it divides by zero."""

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.special import expit

from kan_model import KAN, KANConfig
from kan_model.analysis.penalty import penalty
from kan_model.network.layer import Outside
from kan_model.network.symbolic_edge import SymbolicEdge

Values = NDArray[np.float64]


def formula(layers: list[Values], l1: float, entropy: float) -> float:
    """The paper's penalty of edge outputs [rows, outputs, inputs]."""
    total = 0.0
    for edges in layers:
        sizes = np.abs(edges).mean(axis=0).ravel()
        shares = sizes[sizes > 0] / sizes.sum()
        total += l1 * sizes.sum() - entropy * (shares * np.log(shares)).sum()
    return total


def edges_by_scipy(kan: KAN, x: Values) -> list[Values]:
    """Edge outputs of splines and base branches, under either policy."""
    result = []
    for layer in kan.layers:
        edges = np.zeros((len(x), layer.outputs, layer.inputs))
        for o, i in np.argwhere(layer.edge_mask.numpy()):
            knots, degree, coefficients = layer.all_knots()[i].numpy(), layer.degree, layer.coefficients[o, i].detach()
            if layer.outside == "clamp":
                values = BSpline(knots, coefficients, degree)(np.clip(x[:, i], knots[degree], knots[-degree - 1]))
            else:
                # More knots beyond the ends, with coefficients of zero: SciPy's basis is whole only inside its domain.
                far = np.arange(1, degree + 1)
                knots = np.concatenate([knots[0] - far[::-1], knots, knots[-1] + far])
                values = BSpline(knots, np.pad(coefficients, degree), degree, extrapolate=False)(x[:, i])
                values = np.nan_to_num(values)
            edges[:, o, i] = layer.base_weight[o, i].item() * x[:, i] * expit(x[:, i]) + values
        for edge in layer.symbolic:
            assert edge.function == "sin"
            edges[:, edge.output, edge.input] = edge.c * np.sin(edge.a * x[:, edge.input] + edge.b) + edge.d
        result.append(edges)
        x = edges.sum(axis=2) + (0 if layer.bias is None else layer.bias.detach().numpy())
    return result


@pytest.mark.parametrize("degree", [1, 3, 5])
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("uneven", [False, True])
def test_penalty_is_the_papers_formula(
    make_kan: Callable[..., KAN], degree: int, outside: Outside, uneven: bool
) -> None:
    """Σ L1 and Σ entropy in NumPy over SciPy's splines: symbolic edges count, masked ones do not, biases go on."""
    kan = make_kan((3, 4, 2), degree=degree, outside=outside, uneven=uneven)
    first, second = kan.layers
    first.edge_mask[0, 1] = first.edge_mask[3, 2] = second.edge_mask[1, 1] = 0
    symbolic = first.with_symbolic([SymbolicEdge(1, 2, "sin", 2.0, 0.3, 0.5, -1.0)])
    kan = KAN.of_layers([symbolic.changed(bias=torch.linspace(-1, 1, 4, dtype=torch.float64)), second])
    x = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    edges = edges_by_scipy(kan, x.numpy())
    for l1, entropy in ((1.0, 0.0), (0.0, 1.0), (2.0, 0.5)):
        got = penalty(kan, x, l1=l1, entropy=entropy)
        assert got.shape == ()
        assert got.item() == pytest.approx(formula(edges, l1, entropy), rel=1e-10)
    assert penalty(copy.deepcopy(kan).float(), x).dtype == torch.float32
    assert penalty(copy.deepcopy(kan).float(), x).item() == pytest.approx(formula(edges, 1, 1), rel=1e-5)


def test_pykans_edges_have_the_same_penalty(make_kan: Callable[..., KAN]) -> None:
    """The paper's formula over pykan 0.2.8's edge outputs gives our penalty (pykan's own penalty has changed since)."""
    pytest.importorskip("kan")
    kan = make_kan((3, 4, 2), outside="decay")
    x = torch.randn(100, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    edges = [values.numpy() for values in as_pykan(kan, x).spline_postacts]
    assert penalty(kan, x).item() == pytest.approx(formula(edges, 1, 1), rel=1e-10)


def as_pykan(kan: KAN, x: torch.Tensor) -> Any:
    """Pykan's network of the same numbers, after it has answered ``x``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kan import MultKAN

        first = kan.layers[0]
        theirs = MultKAN(list(kan.width), grid=first.grid_size, k=first.degree, seed=0, auto_save=False)
        for layer, ours in zip(theirs.act_fun, kan.layers, strict=True):
            layer.grid.data = ours.all_knots()
            layer.coef.data = ours.coefficients.detach().permute(1, 0, 2).contiguous()
            layer.scale_base.data = ours.base_weight.detach().T.contiguous()
            layer.scale_sp.data = torch.ones_like(layer.scale_base)
            layer.mask.data = ours.edge_mask.T.contiguous()
        with torch.no_grad():
            torch.testing.assert_close(theirs.double()(x), kan(x))
    return theirs


def test_gradients_agree_with_finite_differences(make_kan: Callable[..., KAN]) -> None:
    """For every number of a network with a symbolic edge and a bias."""
    kan = make_kan((2, 2, 1), grid_size=3)
    symbolic = kan.layers[0].with_symbolic([SymbolicEdge(1, 0, "sin", 2.0, 0.3, 0.5, -1.0)])
    kan = KAN.of_layers([symbolic.changed(bias=torch.tensor([0.1, -0.2], dtype=torch.float64)), kan.layers[1]])
    x = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.autograd.backward(penalty(kan, x, l1=0.7, entropy=1.3))
    for parameter in kan.parameters():
        assert parameter.grad is not None
        flat = parameter.detach().view(-1)
        for place, gradient in enumerate(parameter.grad.view(-1).tolist()):
            values = []
            for step in (1e-6, -1e-6):
                flat[place] += step
                values.append(penalty(kan, x, l1=0.7, entropy=1.3).item())
                flat[place] -= step
            assert gradient == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-7, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("factor", [0.0, 1e-44, 1e-30, 1e-14])
@pytest.mark.parametrize("dead", ["all", "first layer", "last layer", "one edge", "one node"])
def test_value_and_gradient_are_finite_at_zero(dtype: torch.dtype, factor: float, dead: str) -> None:
    """Value and gradient are finite for edges that are zero or nearly zero, also for float32's subnormal numbers."""
    kan = KAN(KANConfig((3, 4, 2), noise=0.5), dtype=dtype)
    with torch.no_grad():
        for layer in {"all": kan.layers, "first layer": kan.layers[:1], "last layer": kan.layers[1:]}.get(dead, ()):
            layer.base_weight.mul_(factor)
            layer.coefficients.mul_(factor)
        nodes = {"one edge": (1, 2), "one node": (1,)}.get(dead)
        if nodes:
            kan.layers[0].base_weight[nodes] *= factor
            kan.layers[0].coefficients[nodes] *= factor
    value = penalty(kan, torch.randn(50, 3, generator=torch.Generator().manual_seed(0)))
    assert math.isfinite(value.item())
    torch.autograd.backward(value)
    for parameter in kan.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
        # Adam squares it.
        assert torch.isfinite(parameter.grad.square()).all()
    if dead == "all" and factor == 0:
        assert value.item() == 0


def test_one_edge_has_no_entropy_and_equal_edges_have_the_most() -> None:
    """0 and ln n: the closed forms; the L1 of c·x over ±1 is |c|."""
    x = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    for count in (1, 2, 7):
        layer = KAN(KANConfig((count, 1)), dtype=torch.float64).layers[0]
        kan = KAN.of_layers([layer.with_symbolic([SymbolicEdge(0, i, "x", 1, 0, -3.0, 0) for i in range(count)])])
        assert penalty(kan, x.expand(2, count), entropy=0).item() == pytest.approx(3 * count)
        assert penalty(kan, x.expand(2, count), l1=0).item() == pytest.approx(math.log(count), abs=1e-15)


def test_masked_edges_neither_count_nor_learn(make_kan: Callable[..., KAN]) -> None:
    """Their numbers may be anything, and get no gradient."""
    kan = make_kan()
    kan.layers[0].edge_mask[0, 1] = 0
    x = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before = penalty(kan, x)
    torch.autograd.backward(before)
    grad = kan.layers[0].coefficients.grad
    assert grad is not None
    assert grad[0, 1].abs().max() == 0
    with torch.no_grad():
        kan.layers[0].coefficients[0, 1] = 1e6
    assert penalty(kan, x).item() == before.item()


def test_training_with_the_penalty_leaves_what_is_needed(make_kan: Callable[..., KAN]) -> None:
    """Of three inputs the target reads one: the edges of the other two shrink to less than a third of where they were.

    To a twelfth, in fact. Without the penalty noise keeps them alive.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(100, 3, dtype=torch.float64, generator=generator) * 2 - 1
    y = torch.sin(3 * x[:, :1]) + 0.1 * torch.randn(100, 1, dtype=torch.float64, generator=generator)
    sizes = {}
    for factor in (0.0, 0.1):
        kan = make_kan((3, 1))
        optimizer = torch.optim.Adam(kan.parameters(), lr=0.05)
        for _ in range(120):
            optimizer.zero_grad()
            torch.autograd.backward((kan(x) - y).square().mean() + factor * penalty(kan, x))
            optimizer.step()
        sizes[factor] = kan.layers[0].edge_outputs(x).detach().abs().mean(dim=0)[0]
    assert sizes[0.1][1:].max() < sizes[0.0][1:].min() / 3
    assert sizes[0.1][0] > 0.4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l1": -1.0}, "l1 is -1.0"),
        ({"entropy": math.nan}, "entropy is nan"),
        ({"entropy": math.inf}, "entropy is inf"),
    ],
)
def test_factors_that_are_none_are_refused(
    make_kan: Callable[..., KAN], options: dict[str, float], message: str
) -> None:
    """A factor below 0 or not finite is refused by its name."""
    with pytest.raises(ValueError, match=message):
        penalty(make_kan(), torch.zeros(2, 3), **options)


def test_rows_that_are_none_are_refused(make_kan: Callable[..., KAN]) -> None:
    """Rows that the network cannot read are refused, before they make weights NaN."""
    for rows in (torch.full((2, 3), torch.nan), torch.zeros(0, 3), torch.zeros(2, 2)):
        with pytest.raises(ValueError, match="rows h"):
            penalty(make_kan(), rows)
    kan = make_kan()
    log = KAN.of_layers([kan.layers[0].with_symbolic([SymbolicEdge(1, 2, "log", 1, 0, 1, 0)]), kan.layers[1]])
    with pytest.raises(ValueError, match=r"input 2 .*nan"):
        penalty(log, torch.tensor([[0.0, 0, 1], [0, 0, -1]]))
