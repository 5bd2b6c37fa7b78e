"""What can go wrong offline that the person at the keyboard can mend: one message each, no traceback."""

import json

_SHOWN_CHARACTERS = 60


class TrainingError(Exception):
    """A mistake in what was given; its text says what came and what was wanted."""


class RecipeError(TrainingError, ValueError):
    """The recipe cannot be read, or asks for something that does not exist or fit together."""


class DataError(TrainingError, ValueError):
    """The table cannot be read, or does not hold what the recipe says."""


class FitRefused(TrainingError, ValueError):
    """The optimizer cannot do this fit; said before its first step."""


class Interrupted(TrainingError):
    """The person asked to stop; the run can be gone on with."""


def quoted(text: str) -> str:
    """A name or a cell in double quotes on one line, shortened when long."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return json.dumps(shown, ensure_ascii=False)
