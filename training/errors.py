"""Errors that the user of kan-train can correct: one message each, no traceback."""

from kan_api.cells import quoted as quoted


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
