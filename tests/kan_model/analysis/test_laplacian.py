"""Gradients and Laplacians by the inputs, against torch.func in float64."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from torch import Tensor
from torch.func import functional_call, jacrev, vmap

from kan_model import KAN, KANConfig, SymbolicEdge, fix_symbolic, prune
from kan_model.analysis.laplacian import laplacian
from kan_model.analysis.laplacian_jacobian import laplacian_jacobian
from kan_model.grids.refinement import replace_knots
from kan_model.network.layer import Outside

X = torch.rand(40, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1


def _network(outside: Outside = "clamp", width: tuple[int | tuple[int, int], ...] = (2, 3, 2, 1)) -> KAN:
    config = KANConfig(width, grid_size=4, outside=outside, noise=2.0, arity=3, domain=(-1.3, 1.2))
    return KAN(config, seed=3, dtype=torch.float64)


def _uneven() -> KAN:
    kan = _network()
    layers = list(kan.layers)
    knots = layers[1].all_knots()
    steps = torch.linspace(0, 1, knots.shape[1], dtype=torch.float64)
    layers[1] = replace_knots(layers[1], knots + 0.1 * torch.sin(9 * steps))
    return kan.with_layers(layers)


def _with_formula() -> KAN:
    return fix_symbolic(
        fix_symbolic(_network(), 1, SymbolicEdge(0, 1, "sin", 2.0, 0.3, 0.7, 0.1)),
        0,
        SymbolicEdge(1, 0, "x", 2.0, 0.3, 0.7, 0.1),
    )


NETWORKS: dict[str, Callable[[], KAN]] = {
    "clamped": _network,
    "decaying": lambda: _network("decay"),
    "uneven": _uneven,
    "multiplying": lambda: _network(width=(2, (1, 2), (2, 1), 2)),
    "pruned, with a bias": lambda: prune(_network(), X, edges=6, keep_inputs=True).kan,
    "with formulas": _with_formula,
}


def _by_autograd(kan: KAN, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    def answer(row: Tensor) -> Tensor:
        result: Tensor = kan(row[None])[0]
        return result

    hessians = vmap(jacrev(jacrev(answer)))(x)
    return vmap(answer)(x), vmap(jacrev(answer))(x), hessians.diagonal(dim1=2, dim2=3).sum(dim=2)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_and_laplacians_are_those_of_autograd(name: str) -> None:
    """For any grid, policy outside the domain, products, biases and formulas; outside the domain too."""
    kan = NETWORKS[name]()
    x = torch.cat([X, 3 * X])
    jet = laplacian(kan, x)
    for found, expected in zip((jet.values, jet.gradients, jet.laplacians), _by_autograd(kan, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_the_second_derivative_of_an_edge_is_scipys() -> None:
    """A network [1, 1] without base branch is one B-spline; its Laplacian is the spline's second derivative."""
    kan = KAN(KANConfig((1, 1), grid_size=6, noise=1.0), dtype=torch.float64)
    layer = kan.layers[0].changed(base_weight=torch.zeros(1, 1, dtype=torch.float64))
    spline = BSpline(layer.all_knots()[0].numpy(), layer.coefficients.detach()[0, 0].numpy(), 3)
    x = np.linspace(-1, 1, 50)
    jet = laplacian(KAN.of_layers([layer]), torch.from_numpy(x)[:, None])
    np.testing.assert_allclose(jet.gradients.detach()[:, 0, 0], spline(x, nu=1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(jet.laplacians.detach()[:, 0], spline(x, nu=2), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "multiplying" and name != "with formulas"])
def test_the_jacobian_is_that_of_autograd(name: str) -> None:
    """Of the Laplacian by all parameters, row by row; the answers come with it."""
    _check_jacobian(NETWORKS[name]())


def test_the_jacobian_goes_through_products() -> None:
    """With a node of three factors in the middle."""
    _check_jacobian(_network(width=(2, (1, 1), 2, 1)))


def _check_jacobian(kan: KAN) -> None:
    parameters = {name: value.detach() for name, value in kan.named_parameters()}

    def laplacians(given: dict[str, Tensor]) -> Tensor:
        holder = torch.nn.Module()
        holder.kan = kan
        holder.forward = lambda x: laplacian(kan, x).laplacians[:, 0]
        result: Tensor = functional_call(holder, {f"kan.{name}": value for name, value in given.items()}, (X,))
        return result

    expected = jacrev(laplacians)(parameters)
    jet, found = laplacian_jacobian(kan, X)
    flat = torch.cat([expected[name].flatten(1) for name in parameters], dim=1)
    torch.testing.assert_close(found, flat, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(jet.laplacians.detach(), laplacian(kan, X).laplacians.detach())
    torch.testing.assert_close(jet.values.detach(), kan(X).detach())


def test_the_jacobian_refuses_what_it_cannot() -> None:
    """Formulas and several outputs."""
    for kan in (_with_formula(), _network(width=(2, 3))):
        with pytest.raises(ValueError, match="wanted one output and no symbolic edge"):
            laplacian_jacobian(kan, X)


def test_a_laplacian_known_by_hand() -> None:
    """sin(πx)·y² as products of formulas: −π² sin(πx) y² + 2 sin(πx)."""
    kan = KAN(KANConfig((2, (0, 1)), arity=2), dtype=torch.float64)
    zero = [SymbolicEdge(0, 1, "0", 1, 0, 0, 0), SymbolicEdge(1, 0, "0", 1, 0, 0, 0)]
    edges = [SymbolicEdge(0, 0, "sin", math.pi, 0, 1, 0), SymbolicEdge(1, 1, "x^2", 1, 0, 1, 0), *zero]
    kan = kan.with_layers([kan.layers[0].with_symbolic(edges)])
    sine, y = torch.sin(math.pi * X[:, 0]), X[:, 1]
    expected = -(math.pi**2) * sine * y**2 + 2 * sine
    torch.testing.assert_close(laplacian(kan, X).laplacians[:, 0].detach(), expected)
