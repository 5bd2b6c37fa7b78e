"""Explanations as text, one line an answer: ``4.1 = 2.9 + 0.8 (rooms 7) + 0.6 (lstat 3.2) − 0.2 (rest)``.

The printed numbers add up. The number of digits is that of the largest contribution, which gets two; no number gets
more than float32 has. Each number is rounded to that many. What the sum then lacks goes into the rest; without a rest
the largest contributions are moved by one in the last digit.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MINUS = "−"
REST = "rest"

_SIGNIFICANT = 2
# Float32 has no more.
_MOST_DIGITS = 7
# Numbers beyond are written with a power of ten.
_LEAST_EXPONENT, _LARGEST_EXPONENT = -5, 14
_LONGEST_CELL = 40


@dataclass(frozen=True)
class Term:
    """One contribution: its value, and what it is of, such as "rooms 7"."""

    value: float
    text: str


def explanation_line(explained: float, baseline: float, terms: Sequence[Term], minus: str = MINUS) -> str:
    """One line without its end.

    Args:
        explained: the answer or the score.
        baseline: the same of the reference row.
        terms: add up to explained - baseline, but for rounding. The first are the most important.
        minus: the sign of what is subtracted.
    """
    values = [explained, baseline, *(term.value for term in terms)]
    if not all(map(math.isfinite, values)):
        return "?"
    exponent, decimals = _digits(values, [term.value for term in terms])
    unit = 10.0 ** (exponent - decimals)
    whole, base = round(explained / unit), round(baseline / unit)
    has_rest = bool(terms) and terms[-1].text == REST
    parts = _round_to_sum([term.value / unit for term in terms], whole - base, has_rest)

    def show(number: int) -> str:
        power = f"e{exponent}".replace("-", minus) if exponent else ""
        if decimals < 0:  # in whole numbers, which are exact
            return f"{abs(number) * 10**-decimals}{power}"
        return f"{abs(number) / 10**decimals:.{decimals}f}{power}"

    line = f"{minus if whole < 0 else ''}{show(whole)} = {minus if base < 0 else ''}{show(base)}"
    for part, term in zip(parts, terms, strict=True):
        line += f" {minus if part < 0 else '+'} {show(part)} ({term.text})"
    return line


def terms_of(contributions: Sequence[float], columns: Sequence[str], cells: Mapping[str, str], top: int) -> list[Term]:
    """The largest contributions of one answer, and the sum of the others as "rest".

    Args:
        contributions: one for each column.
        columns: their names.
        cells: the cell of each column in words; columns of the model that are not in the table have none.
        top: how many are named. Columns that contribute nothing are not.
    """
    order = sorted(range(len(columns)), key=lambda place: -abs(contributions[place]))
    named = [place for place in order[:top] if contributions[place] != 0]
    terms = [Term(contributions[place], f"{columns[place]} {cells.get(columns[place], '')}".strip()) for place in named]
    others = [contributions[place] for place in order if place not in named]
    if any(others) or (others and not terms):
        # fsum refuses inf - inf.
        terms.append(Term(math.fsum(others) if all(map(math.isfinite, others)) else math.nan, REST))
    return terms


def show_cell(cell: object, is_missing: bool) -> str:
    """A cell of a file in words, on one line."""
    text = "" if cell is None else " ".join(str(cell).split())
    if is_missing or not text:
        return "missing"
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"


def _digits(values: Sequence[float], parts: Sequence[float]) -> tuple[int, int]:
    """The power of ten that is split off, and the number of decimals of what is left: -2 for whole hundreds."""
    largest = max(map(abs, values))
    if largest == 0:
        return 0, 1
    magnitude = math.floor(math.log10(largest))
    exponent = 0 if _LEAST_EXPONENT <= magnitude <= _LARGEST_EXPONENT else magnitude
    largest_part = max(map(abs, parts), default=0.0) or largest
    wanted = _SIGNIFICANT - 1 - math.floor(math.log10(largest_part)) + exponent
    most = _MOST_DIGITS - 1 - magnitude + exponent
    return exponent, min(max(0, wanted), most)


def _round_to_sum(values: Sequence[float], total: int, has_rest: bool) -> list[int]:
    """Whole numbers near the values, with the given sum. Only the last is moved if it is a rest; else the first are."""
    rounded = [round(value) for value in values]
    missing = total - sum(rounded)
    if has_rest:
        rounded[-1] += missing
    elif values:
        each, left = divmod(abs(missing), len(values))
        step = 1 if missing > 0 else -1
        rounded = [number + step * (each + (place < left)) for place, number in enumerate(rounded)]
    return rounded
