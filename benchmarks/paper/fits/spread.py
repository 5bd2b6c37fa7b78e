"""Medians and spreads of numbers over seeds, as text."""

import statistics
from collections.abc import Sequence

from benchmarks.paper.experiment import Number, Outcome


def column(outcomes: Sequence[Outcome], name: str) -> list[float]:
    """A number of each outcome.

    Raises:
        TypeError: it is not a number.
    """
    return [as_float(outcome.numbers[name]) for outcome in outcomes]


def as_float(number: Number) -> float:
    """A number that is one.

    Raises:
        TypeError: it is a list or text.
    """
    if not isinstance(number, int | float):
        raise TypeError(f"{number!r} is not a number")
    return float(number)


def as_floats(number: Number) -> list[float]:
    """A list of numbers.

    Raises:
        TypeError: it is a single number or text.
    """
    if isinstance(number, str | int | float):
        raise TypeError(f"{number!r} is not a list of numbers")
    return [float(each) for each in number]


def with_spread(values: Sequence[float]) -> str:
    """The median, with the smallest and the largest in brackets: ``1.2e-04 (1.0e-04 to 3.1e-04)``."""
    return f"{statistics.median(values):.1e} ({min(values):.1e} to {max(values):.1e})"
