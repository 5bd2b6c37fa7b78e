"""Flags in memory that the parent process and its workers share: set once, and seen by all at one moment."""

import mmap
import os
from itertools import count

# A number is given out again after as many switches. Those of ten thousand models may be under way at once.
_SIZE = 2**20


class Flags:
    """The flags behind a file descriptor.

    Args:
        descriptor: Of :meth:`create`, inherited from the parent; None makes new flags.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("kan-serve-flags")
            os.ftruncate(descriptor, _SIZE)
        self.descriptor = descriptor
        self._numbers = count()
        self._memory = mmap.mmap(descriptor, _SIZE)

    def new(self) -> int:
        """The number of a flag that is not set. Only the parent may call it."""
        number = next(self._numbers) % _SIZE
        self._memory[number] = 0
        return number

    def set(self, number: int) -> None:
        """Set a flag. One byte: no process sees a half of it."""
        self._memory[number] = 1

    def is_set(self, number: int) -> bool:
        """Whether a flag is set."""
        return self._memory[number] == 1

    def close(self) -> None:
        """Release the memory in this process."""
        self._memory.close()
        os.close(self.descriptor)
