"""How much of an answer float32 itself leaves open: what rounding every number on the way may change.

A sine of a million turns with the seventh digit of its argument, and an exponential that a logarithm takes back may
pass what float32 holds on the way. No graph in float32 can be held to more digits than are there.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kan_model.network import KAN

_TRIES = 12
# Half a unit in the last place, relative.
_ROUNDING = 2.0**-24
_LARGEST = float(np.finfo(np.float32).max)
# Edges are looked at one by one; bounds the memory.
_CHUNK_ROWS = 64


@dataclass(frozen=True)
class Rounding:
    """What float32 leaves open of the answers to some rows.

    Attributes:
        spread: ``[rows, outputs]``, how far the answers lie apart when every number is rounded otherwise; infinite
            where one of them is NaN and another is not.
        overflow: ``[rows]``, True where an edge or a node passes what float32 holds.
    """

    spread: NDArray[np.float64]
    overflow: NDArray[np.bool_]


def rounding(kan: KAN, x: Tensor) -> Rounding:
    """Round at random, some times, and look at what becomes of the answers.

    Args:
        kan: In float64.
        x: ``[rows, inputs]``, float64, as the first layer reads them.

    Source: stochastic arithmetic (Vignes, 1974): each operation's result is moved by up to half a unit in the last
        place, here a node's by that of the terms it is the sum of.
    """
    generator = torch.Generator().manual_seed(0)
    parts = [_of_chunk(kan, rows, generator) for rows in torch.split(x, _CHUNK_ROWS)]
    spread, overflow = (torch.cat(each).numpy() for each in zip(*parts, strict=True))
    return Rounding(spread, overflow)


def _of_chunk(kan: KAN, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    def noise(shape: torch.Size) -> Tensor:
        return _ROUNDING * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)

    overflow = torch.zeros(len(x), dtype=torch.bool)
    with torch.no_grad():
        exact = kan(x)
        spread = torch.zeros_like(exact)
        for _ in range(_TRIES):
            moved = x * (1 + noise(x.shape))
            for layer in kan.layers:
                edges = torch.where(layer.active_edges, layer.edge_outputs(moved), 0.0)
                size = edges.abs().sum(dim=2)
                overflow |= (size > _LARGEST).any(dim=1)
                moved = layer(moved)
                moved = moved + size.nan_to_num(posinf=0.0) * noise(moved.shape)
            apart = (moved - exact).abs()
            apart[moved.isnan() & exact.isnan()] = 0.0
            spread = torch.maximum(spread, apart.nan_to_num(nan=torch.inf, posinf=torch.inf))
    return spread, overflow
