"""Functions that all importers use: read and check named tensors, and make layers of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kan_model.network.layer import KANLayer
from kan_model.network.products import Products
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.splines.bspline import MAX_DEGREE, MIN_DEGREE, uniform_knots


class InteropError(ValueError):
    """A network cannot be imported. The message tells what was found, where, and what is supported."""


def take(tensors: Mapping[str, Tensor], name: str, shape: Sequence[int | str]) -> Tensor:
    """The tensor of this name, in float64 on the CPU.

    Args:
        tensors: A state dict.
        name: Key of the tensor.
        shape: The shape that it must have; a word stands for any number.

    Raises:
        InteropError: the tensor is missing, has another shape, or holds NaN or infinities.
    """
    if name not in tensors:
        raise InteropError(f"{name} is missing; wanted a tensor {_format_shape(shape)}")
    tensor = tensors[name].detach()
    fits = tensor.ndim == len(shape) and all(
        isinstance(wanted, str) or found == wanted for found, wanted in zip(tensor.shape, shape, strict=True)
    )
    if not fits:
        raise InteropError(f"{name} has shape {_format_shape(tensor.shape)}; wanted {_format_shape(shape)}")
    bad = int((~torch.isfinite(tensor)).sum())
    if bad:
        raise InteropError(f"{bad} of {tensor.numel()} numbers in {name} are not finite")
    return tensor.to("cpu", torch.float64)


def check_dtype(tensor: Tensor, name: str) -> torch.dtype:
    """The float type of a tensor; the imported network has the same.

    Raises:
        InteropError: the type is neither float32 nor float64.
    """
    if tensor.dtype not in (torch.float32, torch.float64):
        raise InteropError(f"{name} is {tensor.dtype}; wanted torch.float32 or torch.float64")
    return tensor.dtype


def make_layer(
    where: str,
    knots: Tensor,
    base_weight: Tensor,
    coefficients: Tensor,
    *,
    dtype: torch.dtype,
    edge_mask: Tensor | None = None,
    symbolic: Sequence[SymbolicEdge] = (),
    bias: Tensor | None = None,
    products: Products | None = None,
) -> KANLayer:
    """A layer with the ``decay`` policy: its splines fall to zero beyond their knots.

    Args:
        where: Name of the layer in error messages.
        knots: ``[inputs, grid_size + 2·degree + 1]``, float64. The degree follows from knots and coefficients.
        base_weight: ``[sums, inputs]``, float64.
        coefficients: ``[sums, inputs, grid_size + degree]``, float64.
        dtype: Float type of the layer; all numbers are rounded to it here.
        edge_mask: ``[sums, inputs]``, 1 for an active edge, 0 for a pruned one; None: all are active.
        symbolic: The symbolic edges.
        bias: ``[sums]``; None or all zeros: the layer gets no bias.
        products: Which sums make which node; None: each sum is a node.

    Raises:
        InteropError: a grid that makes no spline, or a number that ``dtype`` cannot hold.
    """
    degree = knots.shape[1] - coefficients.shape[2] - 1
    if not MIN_DEGREE <= degree <= MAX_DEGREE or coefficients.shape[2] <= degree:
        raise InteropError(
            f"{where}: {knots.shape[1]} knots per input and {coefficients.shape[2]} coefficients per edge make a "
            f"spline of degree {degree}; wanted degree {MIN_DEGREE} to {MAX_DEGREE} and one interval or more"
        )
    for name, numbers in (("base weight", base_weight), ("coefficient", coefficients), ("bias", bias)):
        if numbers is not None and not torch.isfinite(numbers.to(dtype)).all():
            raise InteropError(f"{where}: a {name} times its scales is too large for {dtype}; wanted smaller numbers")
    rounded = knots.to(dtype)
    domain = rounded[:, [degree, -degree - 1]]
    uniform = _is_uniform(rounded, degree)
    try:
        return KANLayer(
            base_weight.to(dtype),
            coefficients.to(dtype),
            degree=degree,
            outside="decay",
            domain=domain if uniform else None,
            knots=None if uniform else rounded,
            edge_mask=None if edge_mask is None else edge_mask.to(dtype),
            symbolic=symbolic,
            bias=bias.to(dtype) if bias is not None and bias.any() else None,
            products=products,
        )
    except ValueError as error:
        raise InteropError(f"{where}: {error}") from error


def read_tensors(path: Path) -> Mapping[str, Any]:
    """A state dict that ``torch.save`` wrote. Only tensors and plain containers are loaded, so no code runs.

    Raises:
        FileNotFoundError: there is no such file.
        InteropError: the file is incomplete, or holds something else, such as a whole module.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch's unpickler raises many kinds of errors for bytes that are no state dict.
        raise InteropError(
            f"{path}: not the tensors of a state dict, written by torch.save(model.state_dict(), path)"
        ) from error
    if not isinstance(content, Mapping):
        raise InteropError(f"{path}: holds a {type(content).__name__}; wanted a state dict")
    return content


def _is_uniform(knots: Tensor, degree: int) -> bool:
    """Whether all grids are uniform up to rounding. Splines on uniform grids can be computed faster.

    Knots may be off by at most 4e-6 of an interval: that changes a spline by at most 2e-6 of its range. pykan's grids
    of up to 50 intervals around zero pass this test.
    """
    rounding = 8 * torch.finfo(knots.dtype).eps * knots.abs().amax(dim=1, keepdim=True).double()
    knots, size = knots.double(), knots.shape[1] - 2 * degree - 1
    domain = knots[:, [degree, -degree - 1]]
    interval = (domain[:, 1:] - domain[:, :1]) / size
    off = (knots - uniform_knots(domain, size, degree)).abs()
    return bool((off <= torch.minimum(rounding, 4e-6 * interval)).all())


def _format_shape(shape: Sequence[int | str]) -> str:
    return f"[{', '.join(map(str, shape))}]"
