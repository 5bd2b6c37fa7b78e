"""Answers of a network to many rows, block by block, so that memory does not grow with the table.

By the plain formula a layer holds, per row, the values of all its inputs' basis functions. A block has so few rows that
these take at most 32 MiB in float64, but 64 rows at least. A smaller table is one block, with the same numbers as one
forward pass.
"""

import torch
from torch import Tensor, nn

from kan_model.network.layer import KANLayer

_BLOCK_VALUES = 2**22
_LEAST_ROWS = 64
# Values per row that are assumed for a network without splines.
_USUAL_VALUES = 1024


def answers(network: nn.Module, x: Tensor) -> Tensor:
    """The network's answers ``[rows, outputs]`` to ``[rows, inputs]``, without gradients."""
    with torch.no_grad():
        return torch.cat([network(block) for block in torch.split(x, block_rows(network))])


def block_rows(network: nn.Module) -> int:
    """The number of rows of one forward pass."""
    layers = [layer for layer in network.modules() if isinstance(layer, KANLayer)]
    values = max((layer.coefficients[0].numel() for layer in layers), default=_USUAL_VALUES)
    return max(_LEAST_ROWS, _BLOCK_VALUES // values)
