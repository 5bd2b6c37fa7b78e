"""Answers of a network to many rows, block by block: memory does not grow with the table.

Per row a layer holds as many values as its inputs have basis functions; a block has as many rows as keep these within
32 MiB in float64. A table of fewer rows is one block, and its numbers are those of one forward pass.
"""

import torch
from torch import Tensor, nn

from kan_model import KANLayer

_BLOCK_VALUES = 2**22
_LEAST_ROWS = 64
# Values a row of a network that has no splines; wide ones have about as many.
_USUAL_VALUES = 1024


def answers(network: nn.Module, x: Tensor) -> Tensor:
    """What the network answers, without gradients: ``[rows, outputs]`` for ``[rows, inputs]``."""
    with torch.no_grad():
        return torch.cat([network(block) for block in torch.split(x, block_rows(network))])


def block_rows(network: nn.Module) -> int:
    """Rows of one forward pass."""
    layers = [layer for layer in network.modules() if isinstance(layer, KANLayer)]
    values = max((layer.coefficients[0].numel() for layer in layers), default=_USUAL_VALUES)
    return max(_LEAST_ROWS, _BLOCK_VALUES // values)
