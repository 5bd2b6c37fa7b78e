"""Flags in memory that the parent process and its workers share: set once, and seen by all at one moment."""

import mmap
import os

_SIZE = mmap.PAGESIZE


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
        self._memory = mmap.mmap(descriptor, _SIZE)

    def clear(self, place: int) -> None:
        """Clear a flag for its next use."""
        self._memory[place % _SIZE] = 0

    def set(self, place: int) -> None:
        """Set a flag. One byte: no process sees a half of it."""
        self._memory[place % _SIZE] = 1

    def is_set(self, place: int) -> bool:
        """Whether a flag is set."""
        return self._memory[place % _SIZE] == 1

    def close(self) -> None:
        """Release the memory in this process."""
        self._memory.close()
        os.close(self.descriptor)
