"""A disk that takes no long file."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def longest_file(size: int) -> Iterator[None]:
    """For a while no file that this process writes can be longer than `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))  # Python ignores the signal; writing gives an error
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
