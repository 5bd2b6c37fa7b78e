"""Memory that is used again.

The system clears each page of new memory before a program sees it. For an array of 1 MiB that costs more than several
operations on all its numbers (2.5 µs a page, 640 µs, on the machine of benchmarks/README.md), and freed arrays of that
size go back to the system. Arrays that a step of training needs only for itself are kept here instead.
"""

import math
from collections import defaultdict

import torch
from torch import Tensor

# Smaller arrays come fast from the heap. For larger ones the clearing is small beside the work.
_FEWEST_NUMBERS, _MOST_NUMBERS = 2**15, 2**21
# Arrays of one shape and type that are kept, and numbers of all of them: 32 MiB in float32.
_MOST_ARRAYS, _MOST_KEPT = 4, 2**23


class Workspace:
    """An array that is borrowed until this object is deleted.

    Attributes:
        array: Of the shape asked for; what it holds is arbitrary.
    """

    _is_lent = False

    def __init__(self, shape: tuple[int, ...], like: Tensor) -> None:
        """Borrow an array of the type and on the device of ``like``. CPU arrays return to the pool."""
        # An array made in inference mode can be used nowhere else.
        is_usual = like.device.type == "cpu" and not torch.is_inference_mode_enabled()
        if is_usual and _FEWEST_NUMBERS <= math.prod(shape) <= _MOST_NUMBERS:
            self.array = _pool.take(shape, like)
            self._is_lent = True
        else:
            self.array = like.new_empty(shape)

    def __del__(self) -> None:
        if self._is_lent:
            _pool.give_back(self.array)


class _Pool:
    """Without a lock, because an array may come back in the middle of anything: a race miscounts, and harms nobody."""

    def __init__(self) -> None:
        self._free: dict[tuple[tuple[int, ...], torch.dtype], list[Tensor]] = defaultdict(list)
        self.numbers = 0

    def take(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        try:
            array = self._free[shape, like.dtype].pop()
        except IndexError:
            return like.new_empty(shape)
        self.numbers -= array.numel()
        return array

    def give_back(self, array: Tensor) -> None:
        if self.numbers + array.numel() > _MOST_KEPT:
            # Sizes that a fit no longer uses must not hold the place of those that it does.
            self._free.clear()
            self.numbers = 0
        same = self._free[tuple(array.shape), array.dtype]
        if len(same) < _MOST_ARRAYS:
            same.append(array)
            self.numbers += array.numel()


_pool = _Pool()
