"""Fitted curves as a network of one layer."""

import torch
from torch import Tensor

from kan_model import KAN
from kan_model.network.layer import KANLayer
from training.additive.terms import Terms


def network_of(terms: Terms, coefficients: Tensor, dtype: torch.dtype) -> KAN:
    """The network whose edges are the curves: no base branch, and a bias that is the constant.

    Args:
        terms: The terms.
        coefficients: ``[coefficients, outputs]``.
        dtype: Of the network.
    """
    numbers = (terms.raw @ coefficients).T
    layer, functions = terms.layer, terms.functions
    curved = 1 + functions * len(terms.curves)
    splines = torch.zeros(len(numbers), layer.inputs, functions, dtype=torch.float64)
    splines[:, list(terms.curves)] = numbers[:, 1:curved].reshape(len(numbers), len(terms.curves), functions)
    knots = layer.all_knots()
    # The line x has these coefficients: the Greville abscissae.
    abscissae = knots[:, 1:-1].unfold(1, layer.degree, 1).mean(dim=-1)[list(terms.lines)]
    splines[:, list(terms.lines)] = numbers[:, curved:, None] * (abscissae - terms.means[:, None])
    mask = torch.zeros(len(numbers), layer.inputs, dtype=torch.float64)
    mask[:, [*terms.curves, *terms.lines]] = 1.0
    made = KANLayer(
        torch.zeros_like(mask).to(dtype),
        splines.to(dtype),
        degree=layer.degree,
        outside=layer.outside,
        knots=knots.to(dtype),
        edge_mask=mask.to(dtype),
        bias=numbers[:, 0].to(dtype),
    )
    return KAN.of_layers([made])


def covariances_of(terms: Terms, inverse: Tensor, noise: float) -> Tensor:
    """The covariances of the coefficients of each input's curve, ``[inputs, functions, functions]``; 0 for lines.

    Args:
        terms: The terms.
        inverse: (XᵀWX + Λ)⁻¹.
        noise: The variance of the noise.
    """
    found = torch.zeros(terms.layer.inputs, terms.functions, terms.functions, dtype=torch.float64)
    for place, input_ in enumerate(terms.curves):
        own = terms.raw[1 + place * terms.functions : 1 + (place + 1) * terms.functions]
        found[input_] = noise * own @ inverse @ own.T
    return found
