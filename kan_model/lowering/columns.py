"""The weights with which given functions add up to a layer's splines."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from kan_model.bspline import basis
from kan_model.layer import KANLayer

Values = NDArray[np.float64]
# Inputs solved at once: bounds the memory, some 100 MB at 64 intervals.
_INPUTS_AT_ONCE = 64


def spline_weights(layer: KANLayer, functions: Callable[[Values, slice], Values]) -> Values:
    """Weights of functions that span the layer's splines, by least squares in float64 on points in every interval.

    Under ``clamp`` the points fill the domain, under ``decay`` all of the knots.

    Args:
        layer: The layer.
        functions: Points ``[points, inputs]`` and which inputs they are -> values ``[columns, points, inputs]``.

    Returns:
        ``[columns, inputs, outputs]``.
    """
    # Equal grids need one solution.
    knots = layer.all_knots().detach().double()
    same = bool((knots == knots[0]).all())
    solutions = []
    for start in range(0, 1 if same else layer.inputs, _INPUTS_AT_ONCE):
        part = slice(start, 1 if same else start + _INPUTS_AT_ONCE)
        points = _points(knots[part], layer)
        design = torch.from_numpy(functions(points.numpy(), part)).permute(2, 1, 0)
        # All columns of one size: the fifth power of a wide domain would make a constant look like rounding.
        size = design.abs().amax(dim=1, keepdim=True)
        wanted = basis(points, knots[part], layer.degree).transpose(0, 1)
        solution = torch.linalg.lstsq(design / size, wanted, driver="gelsy", rcond=1e-14).solution
        solutions.append(solution / size.transpose(1, 2))
    # [inputs, columns, basis]: each column's share in each basis function.
    shares = torch.cat(solutions).expand(layer.inputs, -1, -1).numpy()
    result: Values = np.matmul(shares, edge_coefficients(layer).transpose(1, 2, 0)).transpose(1, 0, 2)
    return result


def edge_coefficients(layer: KANLayer) -> Values:
    """Spline coefficients ``[outputs, inputs, basis]`` in float64, zero on edges that are pruned."""
    result: Values = (layer.coefficients * layer.edge_mask.unsqueeze(-1)).detach().double().numpy()
    return result


def _points(knots: torch.Tensor, layer: KANLayer) -> torch.Tensor:
    """Points ``[points, inputs]``, degree + 2 inside each interval."""
    ends = knots if layer.outside == "decay" else knots[:, layer.degree : -layer.degree or None]
    count = layer.degree + 2
    share = (torch.arange(count, dtype=knots.dtype) + 0.5) / count
    left, width = ends[:, :-1, None], torch.diff(ends, dim=1)[..., None]
    return (left + width * share).flatten(1).T.contiguous()
