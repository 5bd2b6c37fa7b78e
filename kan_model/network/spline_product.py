"""The product of a layer's basis functions and its coefficients, at little more than the price of the matrix product.

Only the degree + 1 functions that are not 0 at a point are computed, and put into a matrix of zeros, the operand. The
backward pass takes their slopes from the same cells. Rows are worked in blocks that fit a processor's cache.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual
from torch.nn.functional import linear

from kan_model.splines.cells import Cells

Basis: TypeAlias = Callable[[Tensor], Tensor]
# Numbers of the operand in one block of rows: 4 MiB in float32. Smaller blocks cost more calls than they save.
_BLOCK_NUMBERS = 2**20
_plain = ContextVar("plain", default=False)


def spline_product(x: Tensor, coefficients: Tensor, cells: Cells, basis: Basis) -> Tensor:
    """What `plain_product` gives, faster. Not for tensors that `is_watched`.

    Args:
        x: ``[rows, inputs]``.
        coefficients: ``[outputs, inputs, basis functions]``.
        cells: The grids of the inputs.
        basis: As for `plain_product`.

    Returns:
        ``[rows, outputs]``.
    """
    nodes: Tensor = _SplineProduct.apply(x, coefficients, cells, basis)  # type: ignore[no-untyped-call]
    return nodes


@contextmanager
def plain_arithmetic() -> Iterator[None]:
    """Within the block layers and optimizers compute as before version 0.1 had this product, to the bit."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def is_plain() -> bool:
    """Whether this is within `plain_arithmetic`."""
    return _plain.get()


def is_watched(x: Tensor, *others: Tensor | None) -> bool:
    """Whether something follows each operation on the tensors, so that only `plain_product` will do.

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
        or any(each is not None and unpack_dual(each).tangent is not None for each in (x, *others))  # type: ignore[no-untyped-call]
    )


class _SplineProduct(torch.autograd.Function):
    """The product and its gradients, from the cells."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficients: Tensor, cells: Cells, basis: Basis) -> Tensor:
        """Write the operand, block by block, and multiply it."""
        weights, is_kept = coefficients.flatten(1), ctx.needs_input_grad[1]
        operand = x.new_empty(len(x) if is_kept else min(len(x), _block_rows(weights)), weights.shape[1])
        nodes = x.new_empty(len(x), len(weights))
        for rows in _blocks(len(x), weights):
            part = x[rows]
            place, block = cells.locate(part), (operand[rows] if is_kept else operand[: len(part)]).zero_()
            flat, start = block.view(-1), place.start()
            for function, values in enumerate(place.values()):
                flat[function:].scatter_(0, start, values)
            torch.mm(block, weights.t(), out=nodes[rows])
        ctx.save_for_backward(x, coefficients, operand if is_kept else None)
        ctx.cells, ctx.basis = cells, basis
        return nodes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of x and of the coefficients. Where they have gradients in turn, by the plain formula."""
        x, coefficients, operand = ctx.saved_tensors
        (of_nodes,) = gradients
        if torch.is_grad_enabled():
            return *_plain_gradients(x, coefficients, ctx.basis, of_nodes, ctx.needs_input_grad), None, None
        of_coefficients = None if operand is None else torch.mm(of_nodes.t(), operand).view_as(coefficients)
        of_x = _gradient_of_x(x, coefficients.flatten(1), ctx.cells, of_nodes) if ctx.needs_input_grad[0] else None
        return of_x, of_coefficients, None, None


def plain_product(x: Tensor, coefficients: Tensor, basis: Basis) -> Tensor:
    """The product by operations that torch can differentiate, transform and compile on its own.

    Args:
        x: ``[rows, inputs]``.
        coefficients: ``[outputs, inputs, basis functions]``.
        basis: The values of the basis functions, ``[rows, inputs, basis functions]``, of x.

    Returns:
        ``[rows, outputs]``.
    """
    return linear(basis(x).flatten(1), coefficients.flatten(1))


def _gradient_of_x(x: Tensor, weights: Tensor, cells: Cells, of_nodes: Tensor) -> Tensor:
    """Nothing is changed in place, so that torch can run it on many gradients at once."""
    parts = [torch.empty_like(x[:0])]
    for rows in _blocks(len(x), weights):
        place = cells.locate(x[rows])
        flat, start = torch.mm(of_nodes[rows], weights).view(-1), place.start()
        of_u = torch.zeros_like(start, dtype=x.dtype)
        for function, slopes in enumerate(place.slopes()):
            of_u = torch.addcmul(of_u, flat[function:].index_select(0, start), slopes)
        parts.append(of_u.view_as(place.u) * place.scale * cells.is_inside(x[rows]))
    return torch.cat(parts)


def _plain_gradients(
    x: Tensor, coefficients: Tensor, basis: Basis, of_nodes: Tensor, needed: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None]:
    wanted = [given for given, is_needed in zip((x, coefficients), needed, strict=False) if is_needed]
    found = iter(torch.autograd.grad(plain_product(x, coefficients, basis), wanted, of_nodes, create_graph=True))
    return (next(found) if needed[0] else None), (next(found) if needed[1] else None)


def _blocks(rows: int, weights: Tensor) -> Iterator[slice]:
    step = _block_rows(weights)
    return (slice(start, start + step) for start in range(0, rows, step))


def _block_rows(weights: Tensor) -> int:
    return max(1, _BLOCK_NUMBERS // weights.shape[1])
