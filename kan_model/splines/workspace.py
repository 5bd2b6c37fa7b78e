"""Memory that is used again.

The system clears each page of new memory before a program sees it. For an array of 1 MiB that costs more than several
operations on all its numbers (2.5 µs a page, 640 µs, on the machine of benchmarks/README.md), and freed arrays of that
size go back to the system. Arrays that a step of training needs only for itself are kept here instead.
"""

import math
from collections import defaultdict

import torch
from torch import Tensor

# Smaller arrays come fast from the heap; larger ones are worth their pages.
_FEWEST_NUMBERS, _MOST_NUMBERS = 2**15, 2**21
# Of one shape and type.
_MOST_ARRAYS = 4
_free: dict[tuple[tuple[int, ...], torch.dtype], list[Tensor]] = defaultdict(list)
_MOST_SHAPES = 64


class Workspace:
    """An array that is borrowed until this object is deleted.

    Attributes:
        array: Of the shape asked for; what it holds is arbitrary.
    """

    _home: list[Tensor] | None = None

    def __init__(self, shape: tuple[int, ...], like: Tensor) -> None:
        """Borrow an array of the type and on the device of ``like``. Those of the CPU are kept afterwards."""
        # An array made in inference mode can be used nowhere else.
        if (
            not _FEWEST_NUMBERS <= math.prod(shape) <= _MOST_NUMBERS
            or like.device.type != "cpu"
            or torch.is_inference_mode_enabled()
        ):
            self.array = like.new_empty(shape)
            return
        if len(_free) > _MOST_SHAPES:
            _free.clear()
        home = _free[shape, like.dtype]
        try:
            self.array = home.pop()
        except IndexError:
            self.array = like.new_empty(shape)
        self._home = home

    def __del__(self) -> None:
        if self._home is not None and len(self._home) < _MOST_ARRAYS:
            self._home.append(self.array)
