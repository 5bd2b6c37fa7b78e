"""Errors that end kan-train with one message and no traceback: mistakes of its input, and failures of the system."""

import errno
from collections.abc import Sequence

from kan_api.cells import quoted as quoted

_SHOWN_NAMES = 10
# Another path or other permissions mend these. A full disk, a quota, a device that fails or a limit of the process
# stay with any command.
_MISTAKE_NUMBERS = frozenset(
    (
        errno.EACCES,
        errno.EEXIST,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
        errno.EPERM,
        errno.EROFS,
    )
)


class TrainingError(Exception):
    """A mistake in the arguments, the recipe or the data. Its text says what was found and what was wanted."""


class SystemFailed(TrainingError):
    """The system failed, such as a full disk: no change of the command, the recipe or the data mends it."""


class RecipeError(TrainingError, ValueError):
    """The recipe cannot be read, or asks for something that does not exist or fit together."""


class DataError(TrainingError, ValueError):
    """The table cannot be read, or does not have the columns and values that the recipe names."""


class FitRefused(TrainingError, ValueError):
    """The optimizer cannot do this fit; raised before its first step."""


class RunError(TrainingError):
    """The run folder does not allow what was asked."""


class VersionError(TrainingError):
    """A version cannot be used: it is missing, old, incomplete or changed."""


class Interrupted(TrainingError):
    """The user stopped the run; it can be resumed."""


def quoted_list(names: Sequence[str]) -> str:
    """Names as :func:`quoted` writes them, with commas; at most 10 of them, then the number of the others."""
    more = len(names) - _SHOWN_NAMES
    return ", ".join(map(quoted, names[:_SHOWN_NAMES])) + f" and {more} more" * (more > 0)


def is_of_the_system(error: OSError) -> bool:
    """Whether no change of the command mends an error: ENOSPC, EDQUOT and EIO are such, EACCES and EROFS are not.

    An error without a number is a library's, about what a file holds.
    """
    return error.errno is not None and error.errno not in _MISTAKE_NUMBERS


def kind_of(error: OSError, mistake: type[TrainingError]) -> type[TrainingError]:
    """The class to raise in the place of an error: SystemFailed, or that of a mistake."""
    return SystemFailed if is_of_the_system(error) else mistake
