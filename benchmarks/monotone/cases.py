"""Five real tables with what is promised of them, and 300 rows of the known truth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from benchmarks.monotone.truths import TRUTHS, Rows, known_truth
from benchmarks.tables.sources import SOURCES, load

_TEST_SHARE = 0.25


@dataclass(frozen=True)
class Case:
    """A table, and what is promised.

    Attributes:
        name: Of the table.
        promised: The direction of each monotone column; of two classes that of the second one's probability.
        split: Training and test rows by the number of the split.
        is_classes: Whether the target is one of two classes.
    """

    name: str
    promised: Mapping[str, str]
    split: Callable[[int], tuple[Rows, Rows]]
    is_classes: bool = False


def real(name: str, promised: Mapping[str, str], *, without: Sequence[str] = ()) -> Case:
    """A table of :mod:`benchmarks.tables`, of the half that is for choosing."""
    source = next(each for each in SOURCES if each.name == name)
    assert source.half == "choosing"

    def split(number: int) -> tuple[Rows, Rows]:
        table = load(source).drop(columns=list(without))
        x, y = table.drop(columns=source.target), table[source.target]
        parts = train_test_split(x, y, test_size=_TEST_SHARE, random_state=number)
        train_x, test_x, train_y, test_y = parts
        return Rows(train_x, train_y, train_y), Rows(test_x, test_y, test_y)

    return Case(name, promised, split, source.task == "binary")


def synthetic(number: int) -> tuple[Rows, Rows]:
    """300 training rows with as much noise as signal, and 5,000 test rows."""
    random = np.random.default_rng(number)
    x = random.uniform(-1, 1, (5_300, 5))
    truth = known_truth(x)
    y = truth + random.normal(0, truth.std(), len(truth))
    frame = pd.DataFrame(x, columns=list("abcde"))
    return Rows(frame[:300], y[:300], truth[:300]), Rows(frame[300:].reset_index(drop=True), y[300:], truth[300:])


CASES = (
    real("auto", {"weight": "down", "horsepower": "down", "year": "up"}, without=["name"]),
    real("boston", {"rm": "up", "lstat": "down"}),
    real("concrete", {"cement": "up", "age": "up"}),
    real("sacramento", {"sqft": "up", "baths": "up"}),
    real("credit", {"Seniority": "up", "Income": "up", "Amount": "down"}),
    Case(TRUTHS[0].name, TRUTHS[0].promised, synthetic),
)
