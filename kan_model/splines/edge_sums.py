"""The sums of a layer's learned edges, at little more than the price of their matrix product.

The work is done on transposed arrays, [features, functions, rows], so that each operation that makes the basis
functions runs over a long stretch of memory, and on a block of features at a time, which fits a processor's cache. The
backward pass is written by hand. It uses the basis functions again if they are few, and else makes them again, which
costs less than new memory for them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import linear, silu

from kan_model.splines.workspace import Workspace

Basis: TypeAlias = Callable[[Tensor], Tensor]
# More rows are worked in parts, so that one feature's functions fit a cache.
_ROWS = 2**13
# More numbers of a layer are made again for the backward pass: 4 MiB in float32. Others live as long as the graph.
_MOST_KEPT = 2**20
_ALL = slice(None)
_plain = ContextVar("plain", default=False)


class Splines(Protocol):
    """The basis functions of some features: :mod:`kan_model.splines.planes`, :mod:`kan_model.splines.cells`."""

    @property
    def count(self) -> int:
        """Number of basis functions of a feature."""

    def select(self, features: slice) -> Self:
        """The basis functions of some features."""

    @property
    def block_points(self) -> int:
        """Points per block. Larger blocks do not fit the cache; smaller ones cost more in calls."""

    @property
    def slope_count(self) -> int:
        """Numbers that :meth:`write` keeps of a point for :meth:`pull_back`."""

    def write(self, x: Tensor, values: Tensor, slopes: Tensor | None) -> None:
        """Write the values at x, and their slopes if there is memory for them.

        Args:
            x: ``[features, points]``.
            values: ``[features, functions, points]``.
            slopes: ``[features, slope_count, points]``, or None.
        """

    def pull_back(self, gradient: Tensor, x: Tensor, slopes: Tensor, of_x: Tensor) -> None:
        """Add to the gradient of x ``[features, points]`` what that of the values, perhaps overwritten, makes of it."""


def edge_sums(x: Tensor, base_weight: Tensor, coefficients: Tensor, splines: Splines, basis: Basis) -> Tensor:
    """The sums of `plain_edge_sums`, computed faster. Do not call it if `is_watched` returns True.

    Args:
        x: ``[rows, inputs]``.
        base_weight: ``[outputs, inputs]``.
        coefficients: ``[outputs, inputs, basis functions]``.
        splines: The basis functions of the inputs.
        basis: As for `plain_edge_sums`.

    Returns:
        ``[rows, outputs]``, perhaps transposed in memory.
    """
    parts = (x,) if len(x) <= _ROWS else torch.split(x, _ROWS)
    others = (base_weight, coefficients, splines, basis, len(parts) == 1 and torch.is_grad_enabled())
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
    """Within the block layers, Adam and LBFGS compute as before this module existed, to the bit."""
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
        ctx: Any, x: Tensor, base_weight: Tensor, coefficients: Tensor, splines: Splines, basis: Basis, may_keep: bool
    ) -> Tensor:
        """Multiply the values block by block. They are kept for the backward pass if they are few and may be kept."""
        columns = x.t().contiguous()
        activated = silu(columns)
        sums = torch.mm(base_weight, activated)
        values = _BasisValues(splines, columns, may_keep=may_keep, has_slopes=may_keep and ctx.needs_input_grad[0])
        for block in values.blocks():
            sums.addmm_(_flat(coefficients, block.features), block.values.flatten(0, 1))
        ctx.save_for_backward(x, base_weight, coefficients, columns, activated)
        ctx.splines, ctx.basis, ctx.kept = splines, basis, values if values.is_kept else None
        return sums.t()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of x, base_weight and coefficients. Values that were not kept are written again."""
        (of_nodes,), (x, base_weight, coefficients, columns, activated) = gradients, ctx.saved_tensors
        needed = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled() or _is_batch(of_nodes):
            return *_plain_gradients((x, base_weight, coefficients), ctx.basis, of_nodes, needed), None, None, None
        of_sums = of_nodes.t()
        of_x = None
        if needed[0]:
            of_x = torch.ops.aten.silu_backward.default(torch.mm(base_weight.t(), of_sums), columns)
        of_base_weight = torch.mm(of_sums, activated.t()) if needed[1] else None
        of_coefficients = coefficients.new_empty(coefficients.shape) if needed[2] else None
        every = ctx.kept or _BasisValues(ctx.splines, columns, may_keep=False, has_slopes=needed[0])
        for block in every.blocks():
            some, values = block.features, block.values.flatten(0, 1)
            if of_coefficients is not None:
                torch.mm(of_sums, values.t(), out=_flat(of_coefficients, some))
            if of_x is not None and block.slopes is not None:
                of_values = Workspace((len(values), len(x)), values)
                torch.mm(_flat(coefficients, some).t(), of_sums, out=of_values.array)
                of_basis = of_values.array.view(block.values.shape)
                block.splines.pull_back(of_basis, columns[some], block.slopes, of_x[some])
        return None if of_x is None else of_x.t(), of_base_weight, of_coefficients, None, None, None


class _Block(NamedTuple):
    """Some features: ``values [some features, functions, rows]`` of their basis functions, perhaps slopes."""

    features: slice
    splines: Splines
    values: Tensor
    slopes: Tensor | None


class _BasisValues:
    """The values of all features' basis functions, and perhaps their slopes: all kept, or one block at a time."""

    def __init__(self, splines: Splines, columns: Tensor, *, may_keep: bool, has_slopes: bool) -> None:
        features, rows = columns.shape
        numbers = features * rows * (splines.count + splines.slope_count * has_slopes)
        self.is_kept = may_keep and numbers <= _MOST_KEPT
        self._splines, self._columns, self._is_filled = splines, columns, False
        # Blocks of about the same size: a small rest would cost as many calls as a whole one.
        number = max(1, round(features * rows / splines.block_points))
        self._size = -(-features // min(features, number))
        held = features if self.is_kept else self._size
        # Borrowed until this object is deleted, with the graph that holds it.
        self._values = Workspace((held, splines.count, rows), columns)
        self._slopes = Workspace((held, splines.slope_count, rows), columns) if has_slopes else None

    def blocks(self) -> Iterable[_Block]:
        """All blocks in turn, one if they are kept. One that is not kept lasts until the next."""
        values, slopes = self._values.array, None if self._slopes is None else self._slopes.array
        is_one = self._size == len(self._columns)
        if not is_one and not self.is_kept:
            return self._write(values, slopes)
        if not self._is_filled:
            if is_one:
                self._splines.write(self._columns, values, slopes)
            else:
                deque(self._write(values, slopes), maxlen=0)
            self._is_filled = True
        return (_Block(_ALL, self._splines, values, slopes),)

    def _write(self, values: Tensor, slopes: Tensor | None) -> Iterator[_Block]:
        columns, features, size = self._columns, len(self._columns), self._size
        for start in range(0, features, size):
            some = slice(start, min(start + size, features))
            place = some if self.is_kept else slice(0, some.stop - start)
            block = _Block(some, self._splines.select(some), values[place], None if slopes is None else slopes[place])
            block.splines.write(columns[some], block.values, block.slopes)
            yield block


def _flat(coefficients: Tensor, some: slice) -> Tensor:
    """Those of some features, ``[outputs, features · functions]``."""
    return (coefficients if some is _ALL else coefficients[:, some]).flatten(1)


def _is_batch(gradient: Tensor) -> bool:
    """Whether it stands for many gradients: those of torch.func.vmap, or of torch.autograd.grad's is_grads_batched."""
    return torch._C._are_functorch_transforms_active() or torch._C._functorch.is_legacy_batchedtensor(gradient)


def _plain_gradients(
    inputs: tuple[Tensor, Tensor, Tensor], basis: Basis, of_nodes: Tensor, needed: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    """The gradients by operations that torch can differentiate, and run on many gradients in one batch."""
    wanted = [given for given, is_needed in zip(inputs, needed, strict=True) if is_needed]
    with torch.enable_grad():
        nodes = plain_edge_sums(*inputs, basis)
    found = iter(torch.autograd.grad(nodes, wanted, of_nodes, create_graph=torch.is_grad_enabled()))
    return tuple(next(found) if is_needed else None for is_needed in needed)
