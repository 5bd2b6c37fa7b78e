"""The sums of taps, shifted and added: what a convolution makes of its functions' values."""

from typing import Any

import torch
from torch import Tensor

from kan_model.splines.edge_sums import is_watched
from kan_model.vision.geometry import Convolution


def add_taps(by_tap: Tensor, geometry: Convolution, size: tuple[int, int]) -> Tensor:
    """y[p] = Σ_k by_tap[p·stride + k, k], ``[rows, height', width', channels]``.

    Args:
        by_tap: ``[rows, height, width, taps, channels]``: what each tap makes of each pixel.
        geometry: Kernel and stride.
        size: height' and width'.
    """
    if is_watched(by_tap):
        return _add(by_tap, geometry, size)
    added: Tensor = _AddedTaps.apply(by_tap, geometry, size)  # type: ignore[no-untyped-call]
    return added


class _AddedTaps(torch.autograd.Function):
    """Its gradient is a copy for each tap. Torch's own makes a whole array of zeros for each slice of each tap."""

    @staticmethod
    def forward(ctx: Any, by_tap: Tensor, geometry: Convolution, size: tuple[int, int]) -> Tensor:
        ctx.shape, ctx.geometry, ctx.size = by_tap.shape, geometry, size
        return _add(by_tap, geometry, size)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (of_total,) = gradients
        of_taps: Tensor = _Spread.apply(of_total, ctx.shape, ctx.geometry, ctx.size)  # type: ignore[no-untyped-call]
        return of_taps, None, None


class _Spread(torch.autograd.Function):
    """The transpose of :class:`_AddedTaps`; each is the gradient of the other."""

    @staticmethod
    def forward(ctx: Any, of_total: Tensor, shape: torch.Size, geometry: Convolution, size: tuple[int, int]) -> Tensor:
        ctx.geometry, ctx.size = geometry, size
        of_taps = of_total.new_zeros(shape)
        for tap in range(geometry.taps):
            _at_tap(of_taps, geometry, tap, size).copy_(of_total)
        return of_taps

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (of_taps,) = gradients
        added: Tensor = _AddedTaps.apply(of_taps, ctx.geometry, ctx.size)  # type: ignore[no-untyped-call]
        return added, None, None, None


def _add(by_tap: Tensor, geometry: Convolution, size: tuple[int, int]) -> Tensor:
    total = _at_tap(by_tap, geometry, 0, size)
    for tap in range(1, geometry.taps):
        total = total + _at_tap(by_tap, geometry, tap, size)
    return total


def _at_tap(by_tap: Tensor, geometry: Convolution, tap: int, size: tuple[int, int]) -> Tensor:
    """The sums of one tap at the places where outputs read it, ``[rows, height', width', channels]``."""
    down, right = divmod(tap, geometry.kernel)
    ends = [start + (count - 1) * geometry.stride + 1 for start, count in zip((down, right), size, strict=True)]
    return by_tap[:, down : ends[0] : geometry.stride, right : ends[1] : geometry.stride, tap]
