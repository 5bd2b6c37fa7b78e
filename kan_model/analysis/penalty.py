"""What training pays for edges that are large, and for edges that share the work evenly."""

import math

import torch
from torch import Tensor

from kan_model.analysis.edge_values import checked_rows, edge_values
from kan_model.network.network import KAN

# A layer smaller than this is dead; the entropy's gradient, which grows with the inverse, would drown all others.
_DEAD = 1e-15


def penalty(kan: KAN, rows: Tensor, *, l1: float = 1.0, entropy: float = 1.0) -> Tensor:
    """L1 and entropy of the edges, to be added to the loss with a small factor (1e-3 to 1e-2 in the paper).

    An edge's L1 is its mean |φ| over the rows, a layer's the sum over its edges; a layer's entropy is −Σ p·ln p with
    p = edge's L1 / layer's L1. The penalty is Σ over layers of l1·L1 + entropy·entropy: in the units of the nodes,
    relative to nothing. Symbolic edges count, masked ones do not. Value and gradient are finite where edges, or all
    edges of a layer, are zero: a dead edge gets no gradient, a layer with an L1 below 1e-15 has no entropy.

    One layer's edges are made at a time, but the gradient needs all of them: rows · edges numbers. Give the rows of
    a batch, or a sample of them.

    Args:
        kan: The network.
        rows: ``[rows, inputs]``.
        l1: Factor of the L1 (the paper's μ1).
        entropy: Factor of the entropy (the paper's μ2).

    Returns:
        0-dim, of the network's type, differentiable.

    Raises:
        ValueError: rows that :func:`kan_model.analysis.edge_values.checked_rows` refuses, an edge that is not finite
            on them, a factor below 0 or not finite.

    Source: arXiv 2404.19756, eq. 2.17 to 2.20.
    """
    for name, factor in (("l1", l1), ("entropy", entropy)):
        if not (math.isfinite(factor) and factor >= 0):
            raise ValueError(f"{name} is {factor}; wanted a number, 0 or more")
    checked_rows(kan, rows)
    total = torch.zeros((), dtype=torch.float64, device=kan.layers[0].base_weight.device)
    for edges in edge_values(kan, rows.to(kan.layers[0].base_weight)):
        sizes = edges.abs().mean(dim=0).double()
        total = total + l1 * sizes.sum() + entropy * _entropy(sizes)
    return total.to(kan.dtype)


def _entropy(sizes: Tensor) -> Tensor:
    """−Σ p·ln p of the shares of ``sizes``; 0 where all are next to nothing."""
    whole = sizes.sum()
    shares = sizes / torch.where(whole > _DEAD, whole, torch.inf)
    # ln 1 in the place of ln 0, whose gradient would be 0 · ∞.
    return -(shares * torch.where(shares > 0, shares, 1.0).log()).sum()
