"""What a layer's buffers come to for its fast product, kept until one of them changes."""

import operator
from dataclasses import dataclass

from torch import Tensor

from kan_model.splines.cells import Cells, cells_of

Buffers = tuple[Tensor, Tensor, Tensor | None]


@dataclass(frozen=True)
class Preparation:
    """Made by :func:`prepare`.

    Attributes:
        is_whole: Whether no edge is masked.
        cells: The cells of the grids.
        buffers: The edge mask, the domain and the knots that both were made from.
        changes: How often each buffer had been changed in place.
    """

    is_whole: bool
    cells: Cells
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
    cells = cells_of(domain, knots, grid_size, degree, outside)
    return Preparation(bool((edge_mask == 1).all()), cells, buffers, _changes(buffers))


def _changes(buffers: Buffers) -> tuple[int, ...] | None:
    """None if one is a tensor of torch.inference_mode, which does not say when it is changed."""
    tensors = [each for each in buffers if each is not None]
    return None if any(each.is_inference() for each in tensors) else tuple(each._version for each in tensors)
