"""The sparsity penalty of training: it makes edges small, and few of them large."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from kan_model.analysis.edge_values import edge_values, edges_and_sums
from kan_model.network.checks import check_rows
from kan_model.network.network import KAN

# A layer with a smaller L1 is dead. The entropy's gradient grows as 1 / L1 and would exceed all other gradients.
_DEAD = 1e-15


def penalty(kan: KAN, rows: Tensor, *, l1: float = 1.0, entropy: float = 1.0) -> Tensor:
    """L1 and entropy of the edges, to be added to the loss with a small factor (1e-3 to 1e-2 in the paper).

    The L1 of an edge is its mean |φ| over the rows; the L1 of a layer is the sum over its edges. The entropy of a layer
    is −Σ p·ln p with p = L1 of the edge / L1 of the layer. The penalty is the sum over layers of
    l1·L1 + entropy·(the layer's entropy). The L1 has the units of the nodes: doubling a node doubles it.

    Example: two edges of mean |φ| 3 and 1 have L1 = 4 and p = 0.75, 0.25, so the entropy is 0.56. Two edges of 2 and 2
    have the same L1 and the entropy ln 2 = 0.69: the entropy prefers few large edges.

    Symbolic edges count, pruned ones do not. Value and gradient stay finite: an edge that is zero gets no gradient,
    and a layer with an L1 below 1e-15 counts with entropy 0.

    The gradient needs memory for rows · edges numbers. Give the rows of a batch, or a sample of them.

    Args:
        kan: The network.
        rows: ``[rows, inputs]``.
        l1: Factor of the L1 (the paper's μ1).
        entropy: Factor of the entropy (the paper's μ2).

    Returns:
        0-dim, of the network's type, differentiable.

    Raises:
        ValueError: rows that :func:`kan_model.network.checks.check_rows` refuses; an edge that is not finite
            on them; a factor that is below 0 or not finite.

    Source: arXiv 2404.19756, eq. 2.17 to 2.20.
    """
    for name, factor in (("l1", l1), ("entropy", entropy)):
        if not (math.isfinite(factor) and factor >= 0):
            raise ValueError(f"{name} is {factor}; wanted a number, 0 or more")
    check_rows(kan, rows)
    return _add_up(kan, edge_values(kan, rows.to(kan.layers[0].base_weight)), l1, entropy)


def unchecked_penalty(kan: KAN, rows: Tensor, *, l1: float = 1.0, entropy: float = 1.0) -> Tensor:
    """:func:`penalty` without its checks, for a step of training: a GPU need not be waited for.

    The result is not finite if an edge is not.

    Args:
        kan: The network.
        rows: ``[rows, inputs]``, of the network's type and on its device.
        l1: As for :func:`penalty`.
        entropy: As for :func:`penalty`.
    """
    return _add_up(kan, (edges for edges, _ in edges_and_sums(kan, rows)), l1, entropy)


def _add_up(kan: KAN, edges_of_layers: Iterable[Tensor], l1: float, entropy: float) -> Tensor:
    total = torch.zeros((), dtype=torch.float64, device=kan.layers[0].base_weight.device)
    for edges in edges_of_layers:
        sizes = edges.abs().mean(dim=0).double()
        total = total + l1 * sizes.sum() + entropy * _entropy(sizes)
    return total.to(kan.dtype)


def _entropy(sizes: Tensor) -> Tensor:
    """−Σ p·ln p with p = sizes / their sum; 0 if the sum is below 1e-15."""
    whole = sizes.sum()
    shares = sizes / torch.where(whole > _DEAD, whole, torch.inf)
    # A share of 0 takes ln 1 instead of ln 0, whose gradient would be 0 · ∞.
    return -(shares * torch.where(shares > 0, shares, 1.0).log()).sum()
