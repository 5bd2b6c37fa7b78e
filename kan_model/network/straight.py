"""Straight edges: inputs that take two values need no curves, because any function of two values is a line.

Example: a column of words becomes one 0/1 input for each word. What its splines say between 0 and 1 no row asks for.
A straight edge has no base branch and coefficients that lie on a line over the Greville abscissae, the means of
``degree`` neighbouring knots. Its spline is this line on the domain, and constant beyond it.
"""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kan_model.network.layer import KANLayer

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]
# Coefficients on a line are off by the rounding of each: one half of float32's epsilon of their size.
_ROUNDING = 4 * float(np.finfo(np.float32).eps)


def straighten(layer: KANLayer, low: Tensor, high: Tensor) -> KANLayer:
    """The layer with straight edges from some inputs; at ``low`` and ``high`` the edges keep their values.

    Args:
        layer: A layer under ``clamp``; it is not changed.
        low: ``[inputs]``, the smaller of an input's two values; NaN for an input whose edges stay as they are.
        high: ``[inputs]``, the larger one.

    Returns:
        A copy. Pruned and symbolic edges are as before.
    """
    exact = copy.deepcopy(layer).double()
    ends = [torch.nan_to_num(each.double()) for each in (low, high)]
    with torch.no_grad():
        at_low, at_high = (exact.edge_outputs(each[None])[0] for each in ends)
        # Beyond the domain a spline sees its nearest end.
        start, end = (torch.clamp(each, exact.domain[:, 0], exact.domain[:, 1]) for each in ends)
        places = (torch.isfinite(low) & torch.isfinite(high) & (end > start)) & (exact.edge_mask != 0)
        slope = (at_high - at_low) / torch.where(end > start, end - start, torch.ones_like(end))
        line = at_low[..., None] + slope[..., None] * (_abscissae(exact) - start[:, None])
        coefficients = torch.where(places[..., None], line.to(layer.coefficients), layer.coefficients)
        base_weight = torch.where(places, torch.zeros_like(layer.base_weight), layer.base_weight)
    return layer.changed(coefficients=coefficients, base_weight=base_weight)


def straight_inputs(layer: KANLayer) -> Flags:
    """The inputs whose spline edges are all straight: bool ``[inputs]``. Under ``decay`` no edge is."""
    mask = layer.edge_mask.numpy() != 0
    if layer.outside != "clamp":
        return np.zeros(layer.inputs, bool)
    has_base = np.any(mask & (layer.base_weight.detach().numpy() != 0), axis=0)
    constant, slope = straight_lines(layer)
    coefficients = layer.coefficients.detach().double().numpy()
    line = constant[..., None] + slope[..., None] * _abscissae(layer).numpy()
    off = np.abs(coefficients - line).max(axis=-1)
    is_straight = off <= _ROUNDING * np.abs(coefficients).max(axis=-1)
    result: Flags = ~has_base & np.all(is_straight | ~mask, axis=0)
    return result


def straight_lines(layer: KANLayer) -> tuple[Values, Values]:
    """The lines through each edge's first and last coefficient: value at 0 and slope, ``[outputs, inputs]`` each.

    Pruned edges have lines of 0.
    """
    places = _abscissae(layer).numpy()
    coefficients = (layer.coefficients * layer.edge_mask.unsqueeze(-1)).detach().double().numpy()
    slope = (coefficients[..., -1] - coefficients[..., 0]) / (places[:, -1] - places[:, 0])
    return coefficients[..., 0] - slope * places[:, 0], slope


def _abscissae(layer: KANLayer) -> Tensor:
    """The Greville abscissae: the line with these as coefficients is x itself; float64 ``[inputs, functions]``."""
    knots = layer.all_knots().detach().double()
    return knots[:, 1:-1].unfold(1, layer.degree, 1).mean(dim=-1)
