"""Answers with their gradients and Laplacians by the inputs, in closed form: for differential equations.

A jet holds, for each of some functions of the inputs x, its value h, its gradient ∇h and its Laplacian
Δh = Σ_d ∂²h/∂x_d².
An edge φ turns the jet of its node into

    φ(h),   φ'(h)·∇h,   φ''(h)·|∇h|² + φ'(h)·Δh

A sum adds the jets of its edges. A node that multiplies p and q has the Laplacian p·Δq + q·Δp + 2 ∇p·∇q.

Example: φ(h) = h² of the input x itself: its jet is x, 1, 0, and that of the edge x², 2x, 2.
"""

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import silu

from kan_model.network.functions import FUNCTIONS
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.splines.derivatives import basis_derivatives


@dataclass(frozen=True)
class Jet:
    """Some functions of the inputs on some rows.

    Attributes:
        values: ``[rows, functions]``.
        gradients: ``[rows, functions, inputs]``.
        laplacians: ``[rows, functions]``.
    """

    values: Tensor
    gradients: Tensor
    laplacians: Tensor


def laplacian(kan: KAN, x: Tensor) -> Jet:
    """The answers of a network, differentiable by its parameters.

    The second derivative of a spline needs degree 2 or more to be of use: that of degree 1 is 0 between its knots. At a
    knot where a derivative jumps, the result has its value on the right; at the upper end of a domain that is clamped,
    its value inside.

    Args:
        kan: The network.
        x: ``[rows, inputs]``, of the network's type.
    """
    jet = inputs_jet(x)
    for layer in kan.layers:
        jet = nodes_jet(layer, sums_jet(layer, jet))
    return jet


def inputs_jet(x: Tensor) -> Jet:
    """The inputs as functions of themselves."""
    eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    return Jet(x, eye.expand(len(x), -1, -1), torch.zeros_like(x))


def sums_jet(layer: KANLayer, jet: Jet) -> Jet:
    """The sums of a layer's edges, with the bias, for the jet of the nodes that the layer reads."""
    base_weight, lines = layer.split_base(layer.base_weight * layer.edge_mask)
    coefficients = layer.coefficients * layer.edge_mask.unsqueeze(-1)
    # For each derivative of the edges: [rows, sums, inputs].
    slopes = [
        torch.einsum("nib,oib->noi", of_splines, coefficients) + of_base.unsqueeze(1) * base_weight
        for of_splines, of_base in zip(spline_derivatives(layer, jet.values), silu_derivatives(jet.values), strict=True)
    ]
    if lines is not None:
        slopes = [slopes[0] + jet.values.unsqueeze(1) * lines, slopes[1] + lines, slopes[2]]
    if layer.symbolic_affine is not None:
        for place, added in _symbolic_derivatives(layer, jet.values).items():
            for slope, value in zip(slopes, added, strict=True):
                slope[:, place[0], place[1]] += value
    values = slopes[0].sum(dim=2) if layer.bias is None else slopes[0].sum(dim=2) + layer.bias
    squares = jet.gradients.square().sum(dim=2)
    laplacians = (slopes[2] * squares.unsqueeze(1) + slopes[1] * jet.laplacians.unsqueeze(1)).sum(dim=2)
    return Jet(values, slopes[1] @ jet.gradients, laplacians)


def nodes_jet(layer: KANLayer, sums: Jet) -> Jet:
    """The nodes of a layer for the jet of its sums."""
    if layer.products is None:
        return sums
    factors = [[_part(sums, index) for index in node] for node in layer.products.factors]
    nodes = [reduce(_product, node) for node in factors]
    return Jet(
        torch.stack([node.values for node in nodes], dim=1),
        torch.stack([node.gradients for node in nodes], dim=1),
        torch.stack([node.laplacians for node in nodes], dim=1),
    )


def spline_derivatives(layer: KANLayer, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The layer's basis functions at x and their first two derivatives, each ``[rows, inputs, grid_size + degree]``."""
    if layer.outside == "decay":
        values, first, second = basis_derivatives(x, layer.all_knots(), layer.degree, 2)
        return values, first, second
    low, high = layer.domain[:, 0], layer.domain[:, 1]
    values, first, second = basis_derivatives(torch.clamp(x, low, high), layer.all_knots(), layer.degree, 2)
    # A spline that is clamped is constant outside of its domain.
    is_inside = ((x >= low) & (x <= high)).unsqueeze(-1).to(x.dtype)
    return values, first * is_inside, second * is_inside


def silu_derivatives(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """silu(x) and its first two derivatives, elementwise."""
    s = torch.sigmoid(x)
    rest = s * (1 - s)
    return silu(x), s + x * rest, rest * (2 + x * (1 - 2 * s))


def _symbolic_derivatives(layer: KANLayer, x: Tensor) -> dict[tuple[int, int], tuple[Tensor, ...]]:
    """For each symbolic edge, by its place: its values and first two derivatives, each ``[rows]``."""
    assert layer.symbolic_affine is not None
    found: dict[tuple[int, int], tuple[Tensor, ...]] = {}
    edges = zip(layer.symbolic_places, layer.symbolic_functions, layer.symbolic_affine, strict=True)
    for place, function, (a, b, c, d) in edges:
        with torch.enable_grad():
            argument = a * x[:, place[1]] + b
            argument = argument if argument.requires_grad else argument.requires_grad_()
            value = FUNCTIONS[function].torch(argument)
            first = _slope(value, argument)
            second = _slope(first, argument)
        found[place] = (c * value + d, c * a * first, c * a * a * second)
    return found


def _slope(value: Tensor, argument: Tensor) -> Tensor:
    """The derivative of an elementwise function; 0 if it does not depend on the argument, as the slope of a line."""
    if not value.requires_grad:
        return torch.zeros_like(argument)
    (slope,) = torch.autograd.grad(value.sum(), argument, create_graph=True, materialize_grads=True)
    return slope


def _part(jet: Jet, index: int) -> Jet:
    return Jet(jet.values[:, index], jet.gradients[:, index], jet.laplacians[:, index])


def _product(p: Jet, q: Jet) -> Jet:
    return Jet(
        p.values * q.values,
        p.values.unsqueeze(-1) * q.gradients + q.values.unsqueeze(-1) * p.gradients,
        p.values * q.laplacians + q.values * p.laplacians + 2 * (p.gradients * q.gradients).sum(dim=-1),
    )
