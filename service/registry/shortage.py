"""Whether an error means too little memory, threads or open files, so that another try may succeed later."""

import errno
from collections.abc import Iterator

_NUMBERS = (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE)
# In lower case. onnxruntime, CUDA and Python's threads report it only as text.
_WORDS = (
    "bad_alloc",
    "bad allocation",
    "failed to allocate memory",
    "out of memory",
    "cannot allocate memory",
    "alloc_failed",
    "pthread_create",
    "can't start new thread",
    "resource temporarily unavailable",
)


def lacks_resources(error: BaseException) -> bool:
    """Whether the error, or one of its causes, reports too little memory, or too few threads or open files."""
    return any(_lacks(each) for each in _causes(error))


def _lacks(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _NUMBERS):
        return True
    text = str(error)[:2000].lower()
    return any(words in text for words in _WORDS)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
