"""The error that float32 alone can cause in an answer: the change of the answer when every number is rounded.

A graph in float32 cannot be better than this, so this error is subtracted from its own. Two examples: sin(1e6 · x)
changes completely if the seventh digit of x changes; log(exp(100)) is 100, but exp(100) is infinite in float32.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kan_model.lowering.checks.terms import size_of_terms, sum_edges
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.transform import Affine, OutputTransform

Values = NDArray[np.float64]

_TRIES = 12
# Half a unit in the last place of a float32, as a share of the number.
_ROUNDING = 2.0**-24
_LARGEST = float(np.finfo(np.float32).max)
# A graph rounds several times from node to node, the tries here once; so their spread is multiplied by this.
_ROUNDINGS = 4.0
# If rounding changes a function's value by more than this share, the argument may be next to a pole. Then random tries
# do not bound the error, so the error is infinite.
_LOST = 0.5
# A place is steep if its error is this many times the median error.
_STEEP = 10.0
# Numbers per chunk of rows; bounds the memory.
_CHUNK_NUMBERS = 2**18


@dataclass(frozen=True)
class Rounding:
    """The effect of rounding to float32 on the answers to some rows.

    Attributes:
        spread: ``[rows, outputs]``, the largest change of the answer over 12 random roundings of all numbers. Infinite
            if the answer is NaN under one rounding and a number under another.
        overflow: ``[rows]``, True if an edge or a node is too large for float32.
        lost: ``[rows]``, True if rounding changes a large value of a symbolic function by more than half.
    """

    spread: Values
    overflow: NDArray[np.bool_]
    lost: NDArray[np.bool_]


def float32_error(kan: KAN, x: Tensor, outputs: OutputTransform | None) -> Values:
    """The error that float32 alone can cause in each answer before any softmax.

    Args:
        kan: The network in float64.
        x: ``[rows, inputs]``, float64, imputed and scaled.
        outputs: The transform of the outputs.

    Returns:
        ``[rows, outputs]``, in the unit of the outputs. 0 for a network without symbolic edges and products. Infinite
        if a number is too large for float32 or a function is next to a pole.
    """
    if not _can_lose_digits(kan):
        return np.zeros((len(x), kan.width[-1]))
    found = rounding(kan, x)
    spread = _ROUNDINGS * found.spread
    spread[found.overflow | found.lost] = np.inf
    return spread * np.abs(outputs.scale) if isinstance(outputs, Affine) else spread


def float32_edge_errors(kan: KAN, x: Tensor) -> list[Values]:
    """The error that float32 alone can cause in each edge.

    Args:
        kan: The network in float64.
        x: ``[rows, inputs]``, float64, imputed and scaled.

    Returns:
        ``[rows, sums, inputs]`` of each layer; 0 or infinite as in :func:`float32_error`.
    """
    if not _can_lose_digits(kan):
        return [np.zeros((len(x), layer.sums, layer.inputs)) for layer in kan.layers]
    generator = torch.Generator().manual_seed(0)
    exact, _ = propagate(kan, x)
    spread = [torch.zeros_like(edges) for edges in exact]
    closed = torch.zeros(len(x), dtype=torch.bool)
    for _ in range(_TRIES):
        moved, _ = propagate(_round_constants(kan, generator), x, generator)
        for layer, before, after, most in zip(kan.layers, exact, moved, spread, strict=True):
            apart = (after - before).abs()
            apart[after.isnan() & before.isnan()] = 0.0
            torch.maximum(most, apart.nan_to_num(nan=torch.inf, posinf=torch.inf), out=most)
            closed |= _is_lost(layer, before, after) | _has_overflow(layer, after)
    for most in spread:
        most[closed] = torch.inf
    return [_ROUNDINGS * most.numpy() for most in spread]


def _can_lose_digits(kan: KAN) -> bool:
    """Whether a small error of one number can become a large one of an answer."""
    return any(layer.symbolic_places or layer.products is not None for layer in kan.layers)


def is_steep(inherent: Values) -> NDArray[np.bool_]:
    """True where the error is infinite, or 10 times its median over the rows, ``[rows, outputs]``.

    This is so next to a pole, or next to the end of a logarithm's domain. A fast wave is not steep in this sense: its
    error is the same in all rows. At the ends of the domain half of the rows may be next to a pole; then the median is
    infinite too.
    """
    flagged: NDArray[np.bool_] = np.isinf(inherent) | (inherent > _STEEP * np.median(inherent, axis=0))
    return flagged


def rounding(kan: KAN, x: Tensor) -> Rounding:
    """Round all numbers at random, 12 times, and measure how much the answers change.

    Args:
        kan: The network in float64.
        x: ``[rows, inputs]``, float64, imputed and scaled.

    Source: stochastic arithmetic (Vignes, 1974). The result of each operation is changed by up to half a unit in the
        last place; a sum of edges and bias by up to half a unit of the sum of its terms' absolute values.
    """
    generator = torch.Generator().manual_seed(0)
    chunk_rows = max(1, _CHUNK_NUMBERS // max(layer.edge_mask.numel() for layer in kan.layers))
    rounded = [_round_constants(kan, generator) for _ in range(_TRIES)]
    parts = [_round_chunk(kan, rounded, rows, generator) for rows in torch.split(x, chunk_rows)]
    spread, overflow, lost = (torch.cat(each).numpy() for each in zip(*parts, strict=True))
    return Rounding(spread, overflow, lost)


def _noise(shape: torch.Size, generator: torch.Generator) -> Tensor:
    return _ROUNDING * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)


def _round_constants(kan: KAN, generator: torch.Generator) -> KAN:
    """A copy whose symbolic constants are changed at random, each by up to half a unit in the last place."""
    kan = copy.deepcopy(kan)
    with torch.no_grad():
        for layer in kan.layers:
            if layer.symbolic_affine is not None:
                layer.symbolic_affine *= 1 + _noise(layer.symbolic_affine.shape, generator)
    return kan


def _round_chunk(
    kan: KAN, rounded: Sequence[KAN], x: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    overflow, lost = torch.zeros(2, len(x), dtype=torch.bool)
    exact_edges, exact = propagate(kan, x)
    spread = torch.zeros_like(exact)
    for other in rounded:
        moved_edges, moved = propagate(other, x, generator)
        for layer, before, after in zip(other.layers, exact_edges, moved_edges, strict=True):
            lost |= _is_lost(layer, before, after)
            overflow |= _has_overflow(layer, after)
        apart = (moved - exact).abs()
        apart[moved.isnan() & exact.isnan()] = 0.0
        spread = torch.maximum(spread, apart.nan_to_num(nan=torch.inf, posinf=torch.inf))
    return spread, overflow, lost


def propagate(kan: KAN, x: Tensor, generator: torch.Generator | None = None) -> tuple[list[Tensor], Tensor]:
    """The edges of each layer and the answers. With a generator, every number is rounded at random.

    Pruned edges are 0, never 0 · NaN.
    """
    found = []
    with torch.no_grad():
        if generator is not None:
            x = x * (1 + _noise(x.shape, generator))
        for layer in kan.layers:
            edges = torch.where(layer.active_edges, layer.edge_outputs(x), 0.0)
            found.append(edges)
            x = sum_edges(layer, edges)
            if generator is not None:
                size = size_of_terms(layer, edges).nan_to_num(posinf=0.0)
                x = x + size * _noise(x.shape, generator)
            x = layer.nodes_of(x)
    return found, x


def _has_overflow(layer: KANLayer, edges: Tensor) -> Tensor:
    """``[rows]``: True if a sum or product, or a symbolic function before its factor c, is too large for float32."""
    sizes = size_of_terms(layer, edges)
    passed = (sizes > _LARGEST).any(dim=1) | (layer.nodes_of(sizes) > _LARGEST).any(dim=1)
    if layer.symbolic_affine is None:
        return passed
    outputs, inputs = torch.tensor(layer.symbolic_places).T
    c, d = layer.symbolic_affine[:, 2].abs(), layer.symbolic_affine[:, 3]
    return passed | ((edges[:, outputs, inputs] - d).abs() > c * _LARGEST).any(dim=1)


def _is_lost(layer: KANLayer, exact: Tensor, moved: Tensor) -> Tensor:
    """``[rows]``: True if rounding changes a symbolic function's large value by more than half.

    ``exact`` and ``moved`` are edges ``[rows, outputs, inputs]``.
    """
    if layer.symbolic_affine is None:
        return torch.zeros(len(exact), dtype=torch.bool)
    outputs, inputs = torch.tensor(layer.symbolic_places).T
    c, d = layer.symbolic_affine[:, 2].abs(), layer.symbolic_affine[:, 3]
    first, second = ((edges[:, outputs, inputs] - d).abs() for edges in (exact, moved))
    # Only function values above 1 count: near a zero of a sine the value may change by 100 % and still hardly at all.
    largest = torch.maximum(first, second)
    return ((largest > c) & ((first - second).abs() > _LOST * largest)).any(dim=1)
