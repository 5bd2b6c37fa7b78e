"""The product of a layer's basis functions and its coefficients, at little more than the price of the matrix product.

Only the degree + 1 functions that are not 0 at a point are computed, and put into a matrix of zeros, the operand. The
backward pass takes their slopes from the same cells. Rows are worked in blocks that fit a processor's cache.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual
from torch.nn.functional import linear

from kan_model.splines.cells import Cells

Basis: TypeAlias = Callable[[Tensor], Tensor]
# Numbers of the operand in one block of rows: 4 MiB in float32. Smaller blocks cost more calls than they save.
_BLOCK_NUMBERS = 2**20


def spline_product(x: Tensor, coefficients: Tensor, cells: Cells, basis: Basis) -> Tensor:
    """What `plain_product` gives, faster, wherever torch itself need not see each operation.

    Args:
        x: ``[rows, inputs]``.
        coefficients: ``[outputs, inputs, basis functions]``.
        cells: The grids of the inputs.
        basis: As for `plain_product`.

    Returns:
        ``[rows, outputs]``.
    """
    if _is_watched(x, coefficients):
        return plain_product(x, coefficients, basis)
    nodes: Tensor = _SplineProduct.apply(x, coefficients, cells, basis)  # type: ignore[no-untyped-call]
    return nodes


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
                flat[function:].put_(start, values)
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


def _is_watched(*tensors: Tensor) -> bool:
    """Whether torch.func, torch.compile, a trace or forward-mode differentiation follows the operations."""
    return (
        torch._C._are_functorch_transforms_active()
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        or any(unpack_dual(each).tangent is not None for each in tensors)  # type: ignore[no-untyped-call]
    )


def _gradient_of_x(x: Tensor, weights: Tensor, cells: Cells, of_nodes: Tensor) -> Tensor:
    of_x = torch.empty_like(x)
    for rows in _blocks(len(x), weights):
        place = cells.locate(x[rows])
        flat, start = torch.mm(of_nodes[rows], weights).view(-1), place.start()
        of_u = torch.zeros_like(start, dtype=x.dtype)
        for function, slopes in enumerate(place.slopes()):
            of_u.addcmul_(flat[function:].index_select(0, start), slopes)
        torch.mul(of_u.view_as(place.u).mul_(place.scale), cells.is_inside(x[rows]), out=of_x[rows])
    return of_x


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
