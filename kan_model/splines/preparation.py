"""What `edge_sums` needs of a layer's buffers, kept until one of them changes."""

import operator
from dataclasses import dataclass

from torch import Tensor

from kan_model.splines.cells import cells_of
from kan_model.splines.edge_sums import Splines
from kan_model.splines.planes import uniform_planes
from kan_model.splines.uneven_planes import uneven_planes

Buffers = tuple[Tensor, Tensor, Tensor | None]
# With more basis functions a feature, the cells cost less than the planes.
_FEW_FUNCTIONS = 16


@dataclass(frozen=True)
class Preparation:
    """Made by :func:`prepare`.

    Attributes:
        is_whole: Whether no edge is masked.
        splines: The basis functions, as they are computed.
        buffers: The edge mask, the domain and the knots that `is_whole` and `splines` were made from.
        changes: How often each buffer had been changed in place.
    """

    is_whole: bool
    splines: Splines
    buffers: Buffers
    changes: tuple[int, ...] | None

    def is_of(self, buffers: Buffers) -> bool:
        """Whether it was made from these tensors and they are as they were. A change through ``.data`` is not seen."""
        return (
            self.changes is not None
            and all(map(operator.is_, self.buffers, buffers))
            and self.changes == _changes(buffers)
        )


def prepare(buffers: Buffers, grid_size: int, degree: int, outside: str) -> Preparation:
    """Read a layer's edge mask, domain and knots (None: uniform grids)."""
    edge_mask, domain, knots = buffers
    if grid_size + degree > _FEW_FUNCTIONS or (degree == 1 and knots is not None):
        splines: Splines = cells_of(domain, knots, grid_size, degree, outside)
    elif knots is None:
        splines = uniform_planes(domain, grid_size, degree, outside)
    else:
        splines = uneven_planes(knots, degree, outside)
    return Preparation(bool((edge_mask == 1).all()), splines, buffers, _changes(buffers))


def _changes(buffers: Buffers) -> tuple[int, ...] | None:
    """None if one is a tensor of torch.inference_mode, which does not say when it is changed."""
    tensors = [each for each in buffers if each is not None]
    return None if any(each.is_inference() for each in tensors) else tuple(each._version for each in tensors)
