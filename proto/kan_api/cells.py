"""Cells of a table: which ones are missing, and how a message shows one. kan-train and kan-client share the rule.

A cell is compared in lower case, without spaces around it.
"""

import json
import re

MISSING_WORDS = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "<na>", "?"})
# In a column of numbers. "None" may be a category (no masonry, no damage), and so may "-", so a column of words keeps
# them.
MISSING_NUMBERS = MISSING_WORDS | {"none", "-", "--", "."}

THOUSANDS_REMEDY = "a number with marks of thousands; take the marks out"

# Groups of exactly three digits. One group without decimals is left open after a point or a comma: 1.234 may be a
# little more than one. An apostrophe or a no-break space leaves no doubt.
_THOUSANDS = re.compile(
    r"\s*[-+]?[1-9]\d{0,2}"
    r"((,\d{3})+\.\d+|(\.\d{3})+,\d+|(,\d{3}){2,}|(\.\d{3}){2,}|(['\u2019\u00a0\u202f]\d{3})+([.,]\d+)?)\s*"
)
_SHOWN_CHARACTERS = 60


def quoted(text: str) -> str:
    """A name or a cell in double quotes, on one line, with at most 60 characters."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return json.dumps(shown, ensure_ascii=False)


def has_thousands(cell: str) -> bool:
    """Whether a cell is a number with marks between thousands beyond doubt: 3.088,19 or 1,101.50 or 1,234,567."""
    return bool(_THOUSANDS.fullmatch(cell))
