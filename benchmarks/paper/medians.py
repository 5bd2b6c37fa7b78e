"""Numbers of outcomes, and how several seeds are shown: the median, with the smallest and the largest in brackets."""

import statistics
from collections.abc import Sequence

from benchmarks.paper.experiment import Outcome


def number(outcome: Outcome, name: str) -> float:
    """A number of an outcome.

    Raises:
        TypeError: it is a list or a word.
    """
    value = outcome.numbers[name]
    if not isinstance(value, float | int):
        raise TypeError(f"{name} of {outcome.run} is {value!r}; wanted a number")
    return float(value)


def numbers(outcome: Outcome, name: str) -> list[float]:
    """A list of an outcome.

    Raises:
        TypeError: it is a number or a word.
    """
    value = outcome.numbers[name]
    if isinstance(value, float | int | str):
        raise TypeError(f"{name} of {outcome.run} is {value!r}; wanted a list")
    return [float(each) for each in value]


def column(outcomes: Sequence[Outcome], name: str) -> list[float]:
    """A number of each outcome.

    Raises:
        TypeError: it is a list or a word.
    """
    return [number(outcome, name) for outcome in outcomes]


def spread(values: Sequence[float]) -> str:
    """As "2.0e-04 (1.0e-04 to 3.0e-04)"; of one seed "2.0e-04"."""
    if len(values) == 1:
        return f"{values[0]:.1e}"
    return f"{statistics.median(values):.1e} ({min(values):.1e} to {max(values):.1e})"


def cpu_seconds(outcomes: Sequence[Outcome]) -> str:
    """Median processor time of the runs: "12"; of an MLP that got the time of a KAN beside it, "12 (KAN: 12)"."""
    if not all("kan_seconds" in one.numbers for one in outcomes):
        return f"{statistics.median(one.cpu_seconds for one in outcomes):.3g}"
    own, kan = (statistics.median(column(outcomes, name)) for name in ("seconds", "kan_seconds"))
    return f"{own:.3g} (KAN: {kan:.3g})"
