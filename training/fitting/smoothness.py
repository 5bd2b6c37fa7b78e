"""A price on curves that bend: the squared second differences of neighbouring coefficients."""

import torch
from torch import Tensor

from kan_model import KAN


def roughness(kan: KAN) -> Tensor:
    """The sum of the squared second differences of the coefficients of every edge, over all layers.

        Σ_edges Σ_m (c[m+2] - 2·c[m+1] + c[m])²

    It is 0 for a straight line on a uniform grid. Where knots are quantiles, it is 0 for a function that grows evenly
    from quantile to quantile.

    Source: Eilers and Marx, Flexible smoothing with B-splines and penalties (1996).
    """
    return torch.stack([torch.diff(layer.coefficients, n=2, dim=-1).square().sum() for layer in kan.layers]).sum()
