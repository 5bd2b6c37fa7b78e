"""Which columns of a table a model can read, and why it does not read the others."""

import re

from training.draft.decimal_mark import describe_other_marks
from training.draft.inspection import ColumnFacts, Inspection

# On average, for a column whose words enter by the mean of the target over their rows.
_FEWEST_ROWS_A_WORD = 2
# If whole numbers were drawn from their range by chance, this many pairs of rows would be equal.
_MOST_EXPECTED_PAIRS = 10
_CAMEL_ID = re.compile(r"[a-z](?:Id|ID|Uuid|UUID)$")
_PLAIN_ID = re.compile(r"(?:^|[^a-z])(?:id|uuid|guid)$", re.IGNORECASE)


def why_left_out(inspection: Inspection, facts: ColumnFacts) -> str:
    """Why a drafted recipe does not read a column; "" if it does."""
    filled = inspection.table.rows - facts.missing
    all_different = facts.distinct == filled and filled > 1
    if why := why_unusable(inspection, facts):
        return why
    if facts.kind == "empty":
        return "no cell holds a value"
    if is_id(facts):
        return "an id by its name, different in every row" if all_different else "an id by its name, repeated"
    if is_counter(inspection, facts) and facts.doubt:
        return facts.doubt
    if is_counter(inspection, facts):
        order = "and in order" if facts.is_ordered else "and close together, in no order"
        return f"whole numbers, each once {order}: an id or a row number"
    if facts.kind == "text" and facts.distinct * _FEWEST_ROWS_A_WORD > filled:
        return f"text, {facts.distinct:,} different ones in {filled:,} rows; too few rows of each to learn from"
    return ""


def why_unusable(inspection: Inspection, facts: ColumnFacts) -> str:
    """Why a column cannot be an input at all; "" if it can."""
    if facts.kind in ("words", "text") and (why := describe_other_marks(inspection.table, facts.name)):
        return why
    if facts.flaw:
        return facts.flaw
    if facts.kind == "dates" and not facts.date_form:
        return "dates of a format that is none of those of [data.dates]"
    return ""


def is_id(facts: ColumnFacts) -> bool:
    """Whether a column is an id by its name, such as ``customer_id`` or ``userId``: whole numbers or words."""
    can_be = facts.is_whole or facts.kind in ("words", "text")
    return can_be and bool(_PLAIN_ID.search(facts.name) or _CAMEL_ID.search(facts.name))


def is_counter(inspection: Inspection, facts: ColumnFacts) -> bool:
    """Whether a column numbers the rows: each whole number is there once, in order or too close together for chance.

    Measurements repeat. Of n numbers drawn from a range of N, n²/2N pairs are equal on average (the birthday problem),
    for example 25 pairs of 1,000 numbers from 1 to 20,000. If there is none, somebody has counted.
    """
    rows = inspection.table.rows
    if not facts.is_whole or facts.flaw or facts.distinct != rows:
        return False
    expected_pairs = rows * (rows - 1) / 2 / (facts.high - facts.low + 1)
    return facts.is_ordered or expected_pairs >= _MOST_EXPECTED_PAIRS
