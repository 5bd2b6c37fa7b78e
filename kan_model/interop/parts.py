"""What the importers share: named tensors that are checked as they are taken, and layers made of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kan_model.network.layer import KANLayer
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.splines.bspline import MAX_DEGREE, MIN_DEGREE, uniform_knots


class InteropError(ValueError):
    """A network cannot be taken over: what was found, where, and what is supported."""


def take(tensors: Mapping[str, Tensor], name: str, shape: Sequence[int | str]) -> Tensor:
    """A tensor by its name, in float64 on the CPU.

    Args:
        tensors: As in a state dict.
        name: Its key.
        shape: What it has to be; a word stands for any number.

    Raises:
        InteropError: it is not there, of another shape, or holds NaN or infinities.
    """
    if name not in tensors:
        raise InteropError(f"{name} is missing; wanted a tensor {_written(shape)}")
    tensor = tensors[name].detach()
    fits = tensor.ndim == len(shape) and all(
        isinstance(wanted, str) or found == wanted for found, wanted in zip(tensor.shape, shape, strict=True)
    )
    if not fits:
        raise InteropError(f"{name} has shape {_written(tensor.shape)}; wanted {_written(shape)}")
    bad = int((~torch.isfinite(tensor)).sum())
    if bad:
        raise InteropError(f"{bad} of {tensor.numel()} numbers in {name} are not finite")
    return tensor.to("cpu", torch.float64)


def taken_dtype(tensor: Tensor, name: str) -> torch.dtype:
    """The type of a tensor, which the network keeps.

    Raises:
        InteropError: neither float32 nor float64.
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
) -> KANLayer:
    """A layer of splines that fall to zero beyond their knots, from numbers in float64, rounded here to ``dtype``.

    Args:
        where: What an error calls the layer.
        knots: ``[inputs, grid_size + 2·degree + 1]``; the degree follows from them and the coefficients.
        base_weight: ``[outputs, inputs]``.
        coefficients: ``[outputs, inputs, grid_size + degree]``.
        dtype: Type of the layer.
        edge_mask: ``[outputs, inputs]``, 1 for an edge that is there; all are where it is None.
        symbolic: The symbolic edges.
        bias: ``[outputs]``; a layer without any where it is None or zero.

    Raises:
        InteropError: a grid that no spline can stand on, or a number that ``dtype`` cannot hold.
    """
    degree = knots.shape[1] - coefficients.shape[2] - 1
    if not MIN_DEGREE <= degree <= MAX_DEGREE or coefficients.shape[2] <= degree:
        raise InteropError(
            f"{where}: {knots.shape[1]} knots an input and {coefficients.shape[2]} coefficients an edge make a spline "
            f"of degree {degree}; wanted degree {MIN_DEGREE} to {MAX_DEGREE} and one interval or more"
        )
    for name, numbers in (("base weight", base_weight), ("coefficient", coefficients), ("bias", bias)):
        if numbers is not None and not torch.isfinite(numbers.to(dtype)).all():
            raise InteropError(f"{where}: a {name} times its scales is more than {dtype} can hold")
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
        )
    except ValueError as error:
        raise InteropError(f"{where}: {error}") from error


def read_tensors(path: Path) -> Mapping[str, Any]:
    """What ``torch.save`` wrote, tensors and plain containers only.

    Raises:
        FileNotFoundError: no such file.
        InteropError: the file is torn, or holds something else, such as a whole module.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # whatever torch's unpickler stumbles over in bytes of something else
        raise InteropError(
            f"{path}: not the tensors of a state dict, written by torch.save(model.state_dict(), path)"
        ) from error
    if not isinstance(content, Mapping):
        raise InteropError(f"{path}: holds a {type(content).__name__}; wanted a state dict")
    return content


def _is_uniform(knots: Tensor, degree: int) -> bool:
    """Whether all grids are uniform but for rounding: then there are faster ways to compute their splines.

    Knots that are off by a share of an interval move a spline by up to half that share of its range, so that rounding
    may not be more than 4e-6 of an interval; pykan's grids of up to 50 intervals around zero are within that.
    """
    rounding = 8 * torch.finfo(knots.dtype).eps * knots.abs().amax(dim=1, keepdim=True).double()
    knots, size = knots.double(), knots.shape[1] - 2 * degree - 1
    domain = knots[:, [degree, -degree - 1]]
    interval = (domain[:, 1:] - domain[:, :1]) / size
    off = (knots - uniform_knots(domain, size, degree)).abs()
    return bool((off <= torch.minimum(rounding, 4e-6 * interval)).all())


def _written(shape: Sequence[int | str]) -> str:
    return f"[{', '.join(map(str, shape))}]"
