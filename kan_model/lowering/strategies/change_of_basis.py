"""Change of basis: the weights with which given functions add up to a layer's splines."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from kan_model.network.layer import KANLayer
from kan_model.splines.bspline import basis

Values = NDArray[np.float64]
# Inputs whose equations are held at once. This bounds the memory to about 100 MB at 64 intervals.
_INPUTS_AT_ONCE = 64


def spline_weights(layer: KANLayer, functions: Callable[[Values, slice], Values], *, by_knots: bool = True) -> Values:
    """Weights of functions that span the layer's splines, by least squares in float64 on points in every interval.

    Under ``clamp`` the points fill the domain, under ``decay`` the whole range of the knots.

    Args:
        layer: The layer.
        functions: Takes points ``[points, inputs]`` and the slice of the layer's inputs that they belong to; returns
            values ``[columns, points, inputs]``.
        by_knots: The functions depend on an input's knots only. False: on its coefficients too.

    Returns:
        ``[columns, inputs, outputs]``.
    """
    # If all inputs have the same functions, one solution serves all.
    knots = layer.all_knots().detach().double()
    same = by_knots and bool((knots == knots[0]).all())
    solutions = []
    for start in range(0, 1 if same else layer.inputs, _INPUTS_AT_ONCE):
        part = slice(start, 1 if same else start + _INPUTS_AT_ONCE)
        points = _points(knots[part], layer)
        designs = functions(points.numpy(), part).transpose(2, 1, 0)
        wanted = basis(points, knots[part], layer.degree).transpose(0, 1).numpy()
        solutions += [_solve(*each) for each in zip(designs, wanted, strict=True)]
    # [inputs, columns, basis]: the weight of each column in each basis function.
    shares = np.broadcast_to(np.stack(solutions), (layer.inputs, *solutions[0].shape))
    result: Values = np.matmul(shares, edge_coefficients(layer).transpose(1, 2, 0)).transpose(1, 0, 2)
    return result


def _solve(design: Values, wanted: Values) -> Values:
    """Least squares by NumPy. torch's last digits depend on the address of MKL's work space, so runs would differ."""
    # Columns are scaled to size 1. Otherwise a constant looks like rounding beside the fifth power of a wide domain.
    size = np.abs(design).max(axis=0)
    solution: Values = np.linalg.lstsq(design / size, wanted, rcond=1e-14)[0] / size[:, None]
    return solution


def inner_knots(layer: KANLayer) -> Values:
    """Knots inside the domain, without its ends, ascending, rounded to float32: ``[knots, inputs]``."""
    knots = layer.all_knots().detach().double().numpy().T
    return as_float32(knots[layer.degree + 1 : layer.degree + layer.grid_size])


def as_float32(values: Values) -> Values:
    """Values rounded to float32, as the graph stores them. Weights are then solved for the rounded knots."""
    return values.astype(np.float32).astype(np.float64)


def edge_coefficients(layer: KANLayer) -> Values:
    """Spline coefficients ``[outputs, inputs, basis]`` in float64, zero on edges that are pruned."""
    result: Values = (layer.coefficients * layer.edge_mask.unsqueeze(-1)).detach().double().numpy()
    return result


def _points(knots: torch.Tensor, layer: KANLayer) -> torch.Tensor:
    """Points ``[points, inputs]``: degree + 2 inside each interval."""
    ends = knots if layer.outside == "decay" else knots[:, layer.degree : -layer.degree or None]
    count = layer.degree + 2
    share = (torch.arange(count, dtype=knots.dtype) + 0.5) / count
    left, width = ends[:, :-1, None], torch.diff(ends, dim=1)[..., None]
    return (left + width * share).flatten(1).T.contiguous()
