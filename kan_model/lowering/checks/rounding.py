"""How much of an answer float32 itself leaves open: what rounding every number on the way may change.

A sine of a million turns with the seventh digit of its argument, and an exponential that a logarithm takes back may
pass what float32 holds on the way. No graph in float32 can be held to more digits than are there.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.transform import Affine, OutputTransform

Values = NDArray[np.float64]

_TRIES = 12
# Half a unit in the last place, relative.
_ROUNDING = 2.0**-24
_LARGEST = float(np.finfo(np.float32).max)
# A graph rounds more often on the way from node to node than once.
_ROUNDINGS = 4.0
# A function whose value rounding changes by more than this share of itself may be at a pole, of which no try tells
# how near it is.
_LOST = 0.5
# How many times more is left open at a steep place than at most of the others.
_STEEP = 10.0
# Edges are looked at one by one; bounds the memory.
_CHUNK_NUMBERS = 2**18


@dataclass(frozen=True)
class Rounding:
    """What float32 leaves open of the answers to some rows.

    Attributes:
        spread: ``[rows, outputs]``, how far the answers lie apart when every number is rounded otherwise; infinite
            where one of them is NaN and another is not.
        overflow: ``[rows]``, True where an edge or a node passes what float32 holds.
        lost: ``[rows]``, True where rounding changes a large value of a symbolic function by half of itself.
    """

    spread: Values
    overflow: NDArray[np.bool_]
    lost: NDArray[np.bool_]


def left_open(kan: KAN, x: Tensor, outputs: OutputTransform | None) -> Values:
    """What float32 leaves open of each answer before any softmax, ``[rows, outputs]``; of splines alone nothing.

    Infinite where it leaves all open: where a number passes what float32 holds, or lies next to a pole.

    Args:
        kan: In float64.
        x: ``[rows, inputs]``, float64, as the first layer reads them.
        outputs: What stands behind it.
    """
    if not any(layer.symbolic_places for layer in kan.layers):
        return np.zeros((len(x), kan.width[-1]))
    found = rounding(kan, x)
    spread = _ROUNDINGS * found.spread
    spread[found.overflow | found.lost] = np.inf
    return spread * np.abs(outputs.scale) if isinstance(outputs, Affine) else spread


def edges_left_open(kan: KAN, x: Tensor) -> list[Values]:
    """What float32 leaves open of each edge, ``[rows, outputs, inputs]`` of each layer; of splines alone nothing.

    Infinite where it leaves all open, as in :func:`left_open`.

    Args:
        kan: In float64.
        x: ``[rows, inputs]``, float64, as the first layer reads them.
    """
    if not any(layer.symbolic_places for layer in kan.layers):
        return [np.zeros((len(x), layer.outputs, layer.inputs)) for layer in kan.layers]
    generator = torch.Generator().manual_seed(0)
    exact, _ = _through(kan, x)
    spread = [torch.zeros_like(edges) for edges in exact]
    closed = torch.zeros(len(x), dtype=torch.bool)
    for _ in range(_TRIES):
        moved, _ = _through(_with_rounded_constants(kan, generator), x, generator)
        for layer, before, after, most in zip(kan.layers, exact, moved, spread, strict=True):
            apart = (after - before).abs()
            apart[after.isnan() & before.isnan()] = 0.0
            torch.maximum(most, apart.nan_to_num(nan=torch.inf, posinf=torch.inf), out=most)
            closed |= _lost(layer, before, after) | _overflowed(layer, after)
    for most in spread:
        most[closed] = torch.inf
    return [_ROUNDINGS * most.numpy() for most in spread]


def steep(opened: Values) -> NDArray[np.bool_]:
    """Where far more of an answer is open than of the same output in most of these rows, ``[rows, outputs]``.

    That is beside a pole, or beside the end of a logarithm; a fast wave is as steep everywhere.
    """
    flagged: NDArray[np.bool_] = opened > _STEEP * np.median(opened, axis=0)
    return flagged


def rounding(kan: KAN, x: Tensor) -> Rounding:
    """Round at random, some times, and look at what becomes of the answers.

    Args:
        kan: In float64.
        x: ``[rows, inputs]``, float64, as the first layer reads them.

    Source: stochastic arithmetic (Vignes, 1974): each operation's result is moved by up to half a unit in the last
        place, here a node's by that of the terms it is the sum of.
    """
    generator = torch.Generator().manual_seed(0)
    chunk_rows = max(1, _CHUNK_NUMBERS // max(layer.edge_mask.numel() for layer in kan.layers))
    rounded = [_with_rounded_constants(kan, generator) for _ in range(_TRIES)]
    parts = [_of_chunk(kan, rounded, rows, generator) for rows in torch.split(x, chunk_rows)]
    spread, overflow, lost = (torch.cat(each).numpy() for each in zip(*parts, strict=True))
    return Rounding(spread, overflow, lost)


def _noise(shape: torch.Size, generator: torch.Generator) -> Tensor:
    return _ROUNDING * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)


def _with_rounded_constants(kan: KAN, generator: torch.Generator) -> KAN:
    """With the constants of symbolic edges rounded otherwise; b is rounded again as the argument is summed."""
    kan = copy.deepcopy(kan)
    with torch.no_grad():
        for layer in kan.layers:
            if layer.symbolic_affine is not None:
                layer.symbolic_affine *= 1 + _noise(layer.symbolic_affine.shape, generator)
    return kan


def _of_chunk(kan: KAN, rounded: Sequence[KAN], x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    overflow, lost = torch.zeros(2, len(x), dtype=torch.bool)
    exact_edges, exact = _through(kan, x)
    spread = torch.zeros_like(exact)
    for other in rounded:
        moved_edges, moved = _through(other, x, generator)
        for layer, before, after in zip(other.layers, exact_edges, moved_edges, strict=True):
            lost |= _lost(layer, before, after)
            overflow |= _overflowed(layer, after)
        apart = (moved - exact).abs()
        apart[moved.isnan() & exact.isnan()] = 0.0
        spread = torch.maximum(spread, apart.nan_to_num(nan=torch.inf, posinf=torch.inf))
    return spread, overflow, lost


def _through(kan: KAN, x: Tensor, generator: torch.Generator | None = None) -> tuple[list[Tensor], Tensor]:
    """The edges of each layer and the answers; with a generator every number on the way is rounded otherwise."""
    found = []
    with torch.no_grad():
        if generator is not None:
            x = x * (1 + _noise(x.shape, generator))
        for layer in kan.layers:
            edges = _edges(layer, x)
            found.append(edges)
            x = _nodes(layer, edges)
            if generator is not None:
                size = edges.abs().sum(dim=2).nan_to_num(posinf=0.0)
                x = x + size * _noise(x.shape, generator)
    return found, x


def _edges(layer: KANLayer, x: Tensor) -> Tensor:
    """``[rows, outputs, inputs]``; what is not there is zero, also where it would be 0 · NaN."""
    return torch.where(layer.active_edges, layer.edge_outputs(x), 0.0)


def _nodes(layer: KANLayer, edges: Tensor) -> Tensor:
    return edges.sum(dim=2) if layer.bias is None else edges.sum(dim=2) + layer.bias


def _overflowed(layer: KANLayer, edges: Tensor) -> Tensor:
    """Rows ``[rows]`` in which a node, or a symbolic function before its factor, passes what float32 holds."""
    passed = (edges.abs().sum(dim=2) > _LARGEST).any(dim=1)
    if layer.symbolic_affine is None:
        return passed
    outputs, inputs = torch.tensor(layer.symbolic_places).T
    c, d = layer.symbolic_affine[:, 2].abs(), layer.symbolic_affine[:, 3]
    return passed | ((edges[:, outputs, inputs] - d).abs() > c * _LARGEST).any(dim=1)


def _lost(layer: KANLayer, exact: Tensor, moved: Tensor) -> Tensor:
    """Rows ``[rows]`` in which a symbolic function's large value is another; ``[rows, outputs, inputs]`` of edges."""
    if layer.symbolic_affine is None:
        return torch.zeros(len(exact), dtype=torch.bool)
    outputs, inputs = torch.tensor(layer.symbolic_places).T
    c, d = layer.symbolic_affine[:, 2].abs(), layer.symbolic_affine[:, 3]
    first, second = ((edges[:, outputs, inputs] - d).abs() for edges in (exact, moved))
    # Where a wave is zero all of it may change, and hardly anything has: what is lost is above 1.
    largest = torch.maximum(first, second)
    return ((largest > c) & ((first - second).abs() > _LOST * largest)).any(dim=1)
