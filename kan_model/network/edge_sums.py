"""The sums of a layer's learned edges, at little more than the price of their matrix product.

The work is done on transposed arrays, [features, functions, rows], so that each operation that makes the basis
functions runs over a long stretch of memory. A block of features at a time, small enough for a processor's cache, is
made and multiplied. The backward pass is written by hand.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeAlias

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import linear, silu

Basis: TypeAlias = Callable[[Tensor], Tensor]
# More rows are worked in parts, so that one feature's functions fit a cache.
_ROWS = 2**13
_plain = ContextVar("plain", default=False)


class Splines(Protocol):
    """The basis functions of some features: :mod:`kan_model.splines.planes`, :mod:`kan_model.splines.cells`."""

    @property
    def count(self) -> int:
        """Number of basis functions of a feature."""

    def of(self, features: slice) -> Self:
        """Those of some of the features."""

    @property
    def block_points(self) -> int:
        """How many points are best worked at once: more do not fit the cache, fewer take more calls than they save."""

    def new_slopes(self, x: Tensor) -> tuple[Tensor, ...]:
        """Memory for what :meth:`write` keeps for :meth:`pull_back`. Each tensor begins with the features."""

    def write(self, x: Tensor, values: Tensor, slopes: tuple[Tensor, ...]) -> None:
        """Write the values at x ``[features, points]``, and their slopes if there is memory for them.

        Args:
            x: ``[features, points]``.
            values: ``[features, functions, points]``.
            slopes: From :meth:`new_slopes`, or none.
        """

    def pull_back(self, gradient: Tensor, x: Tensor, slopes: tuple[Tensor, ...]) -> Tensor:
        """The gradient of x ``[features, points]`` from that of the values. It may be written over ``gradient``."""


def edge_sums(x: Tensor, base_weight: Tensor, coefficients: Tensor, splines: Splines, basis: Basis) -> Tensor:
    """What `plain_edge_sums` gives, faster. Not for tensors that `is_watched`.

    Args:
        x: ``[rows, inputs]``.
        base_weight: ``[outputs, inputs]``.
        coefficients: ``[outputs, inputs, basis functions]``.
        splines: The basis functions of the inputs.
        basis: As for `plain_edge_sums`.

    Returns:
        ``[rows, outputs]``; the rows of one output stand side by side in memory.
    """
    others = (base_weight, coefficients, splines, basis)
    parts = (x,) if len(x) <= _ROWS else torch.split(x, _ROWS)
    sums: list[Tensor] = [_EdgeSums.apply(part, *others) for part in parts]  # type: ignore[no-untyped-call]
    return sums[0] if len(sums) == 1 else torch.cat(sums)


def plain_edge_sums(
    x: Tensor, base_weight: Tensor, coefficients: Tensor, basis: Basis, bias: Tensor | None = None
) -> Tensor:
    """The sums by operations that torch can differentiate, transform and compile on its own.

    Args:
        x: ``[rows, inputs]``.
        base_weight: ``[outputs, inputs]``.
        coefficients: ``[outputs, inputs, basis functions]``.
        basis: The values of the basis functions, ``[rows, inputs, basis functions]``, of x.
        bias: ``[outputs]``, added to the sums.

    Returns:
        ``[rows, outputs]``.
    """
    return linear(silu(x), base_weight, bias) + linear(basis(x).flatten(1), coefficients.flatten(1))


@contextmanager
def plain_arithmetic() -> Iterator[None]:
    """Within the block layers and optimizers compute as before version 0.1 had this module, to the bit."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def is_plain() -> bool:
    """Whether this is within `plain_arithmetic`."""
    return _plain.get()


def is_watched(x: Tensor, *others: Tensor | None) -> bool:
    """Whether something follows each operation on the tensors, so that only `plain_edge_sums` will do.

    It may be torch.func, torch.compile, torch.export, a trace, a dispatch mode, autocast or forward-mode
    differentiation; tensors without data; `plain_arithmetic`.
    """
    return (
        is_plain()
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
        or x.is_meta
        or torch.is_autocast_enabled(x.device.type)
        or (forward_ad._current_level >= 0 and any(map(_is_dual, (x, *others))))
    )


def _is_dual(tensor: Tensor | None) -> bool:
    return tensor is not None and forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]


class _EdgeSums(torch.autograd.Function):
    """The sums and their gradients. What is worked on is transposed: ``[features, rows]``, ``[outputs, rows]``."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, base_weight: Tensor, coefficients: Tensor, splines: Splines, basis: Basis
    ) -> Tensor:
        """Multiply the values block by block. If one block holds all, it is kept for the backward pass."""
        columns = x.t().contiguous()
        activated = silu(columns)
        sums = torch.mm(base_weight, activated)
        is_one = _block_size(splines, columns) == len(columns)
        for block in _write(splines, columns, has_slopes=is_one and ctx.needs_input_grad[0]):
            sums.addmm_(coefficients[:, block.features].flatten(1), block.values.flatten(0, 1))
        kept = (block.values, *block.slopes) if is_one else ()
        ctx.save_for_backward(x, base_weight, coefficients, columns, activated, *kept)
        ctx.splines, ctx.basis = splines, basis
        return sums.t()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of x, base_weight and coefficients.

        Blocks are written again. To keep them takes longer, because the system clears each new page of memory: 2.5 to
        6 µs for 1,024 numbers on the machine of benchmarks/README.md.
        """
        (of_nodes,), (x, base_weight, coefficients, columns, activated, *kept) = gradients, ctx.saved_tensors
        needed = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled() or _is_batch(of_nodes):
            return *_plain_gradients((x, base_weight, coefficients), ctx.basis, of_nodes, needed), None, None
        of_sums, splines = of_nodes.t(), ctx.splines
        of_x, of_base_weight, of_coefficients = (
            torch.empty_like(each) if is_needed else None
            for each, is_needed in zip((columns, base_weight, coefficients), needed, strict=True)
        )
        if of_base_weight is not None:
            torch.mm(of_sums, activated.t(), out=of_base_weight)
        if kept:
            blocks = iter([_Block(slice(None), splines, kept[0], tuple(kept[1:]))])
        else:
            blocks = _write(splines, columns, has_slopes=needed[0])
        for block in blocks:
            some, values = block.features, block.values.flatten(0, 1)
            if of_coefficients is not None:
                torch.mm(of_sums, values.t(), out=of_coefficients[:, some].flatten(1))
            if of_x is not None:
                of_values = torch.mm(coefficients[:, some].flatten(1).t(), of_sums).view_as(block.values)
                of_x[some] = block.splines.pull_back(of_values, columns[some], block.slopes)
        if of_x is not None:
            of_x.add_(torch.ops.aten.silu_backward(torch.mm(base_weight.t(), of_sums), columns))
        return None if of_x is None else of_x.t(), of_base_weight, of_coefficients, None, None


def _is_batch(gradient: Tensor) -> bool:
    """Whether it stands for many gradients: those of torch.func.vmap, or of torch.autograd.grad's is_grads_batched."""
    return torch._C._are_functorch_transforms_active() or torch._C._functorch.is_legacy_batchedtensor(gradient)


@dataclass(frozen=True)
class _Block:
    """The values of some features' basis functions, ``[some features, functions, rows]``, and perhaps their slopes."""

    features: slice
    splines: Splines
    values: Tensor
    slopes: tuple[Tensor, ...]


def _write(splines: Splines, columns: Tensor, *, has_slopes: bool) -> Iterator[_Block]:
    """All blocks, one after the other in the same memory."""
    size = _block_size(splines, columns)
    values = columns.new_empty(size, splines.count, columns.shape[1])
    slopes = splines.new_slopes(columns[:size]) if has_slopes else ()
    if size == len(columns):
        splines.write(columns, values, slopes)
        yield _Block(slice(None), splines, values, slopes)
        return
    for start in range(0, len(columns), size):
        some = slice(start, min(start + size, len(columns)))
        count = some.stop - start
        block = _Block(some, splines.of(some), values[:count], tuple(each[:count] for each in slopes))
        block.splines.write(columns[some], block.values, block.slopes)
        yield block


def _block_size(splines: Splines, columns: Tensor) -> int:
    """Number of features in a block."""
    features, rows = columns.shape
    return max(1, min(features, splines.block_points // max(1, rows)))


def _plain_gradients(
    inputs: tuple[Tensor, Tensor, Tensor], basis: Basis, of_nodes: Tensor, needed: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    """The gradients by operations that torch can differentiate, and run on many gradients in one batch."""
    wanted = [given for given, is_needed in zip(inputs, needed, strict=True) if is_needed]
    with torch.enable_grad():
        nodes = plain_edge_sums(*inputs, basis)
    found = iter(torch.autograd.grad(nodes, wanted, of_nodes, create_graph=torch.is_grad_enabled()))
    return tuple(next(found) if is_needed else None for is_needed in needed)
