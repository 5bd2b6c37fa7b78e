"""Cells of a table: which ones are missing, and how a message shows one. kan-train and kan-client share the rule.

A cell is compared in lower case, without spaces around it.
"""

import json

MISSING_WORDS = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "<na>", "?"})
# In a column of numbers. "None" may be a category (no masonry, no damage), and so may "-", so a column of words keeps
# them.
MISSING_NUMBERS = MISSING_WORDS | {"none", "-", "--", "."}

_SHOWN_CHARACTERS = 60


def quoted(text: str) -> str:
    """A name or a cell in double quotes, on one line, with at most 60 characters."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return json.dumps(shown, ensure_ascii=False)
