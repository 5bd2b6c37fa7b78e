"""Errors that the user of kan-train can correct: one message each, no traceback."""

from collections.abc import Sequence

from kan_api.cells import quoted as quoted

_SHOWN_NAMES = 10


class TrainingError(Exception):
    """A mistake in the arguments, the recipe or the data. Its text says what was found and what was wanted."""


class RecipeError(TrainingError, ValueError):
    """The recipe cannot be read, or asks for something that does not exist or fit together."""


class DataError(TrainingError, ValueError):
    """The table cannot be read, or does not have the columns and values that the recipe names."""


class FitRefused(TrainingError, ValueError):
    """The optimizer cannot do this fit; raised before its first step."""


class Interrupted(TrainingError):
    """The user stopped the run; it can be resumed."""


def quoted_list(names: Sequence[str]) -> str:
    """Names as :func:`quoted` writes them, with commas; at most 10 of them, then the number of the others."""
    more = len(names) - _SHOWN_NAMES
    return ", ".join(map(quoted, names[:_SHOWN_NAMES])) + f" and {more} more" * (more > 0)
