"""What a promise costs in accuracy, and where it helps: monotone columns on five real tables and one known truth.

    python -m benchmarks.monotone

For each table the same rows are fitted four times: by KANRegressor or KANClassifier without and with `monotone=`, and
by scikit-learn's HistGradientBoosting without and with `monotonic_cst`. All have their defaults, ours without the
search. The real tables are of the choosing half. Of the last table the truth is known: it rises with two columns and
falls with one, the target has as much noise as signal, and errors are those against the truth.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from benchmarks.common.markdown import render
from benchmarks.common.surroundings import surroundings
from benchmarks.tables.sources import SOURCES, load
from training import KANClassifier, KANRegressor

Floats = NDArray[np.float64]
_TEST_SHARE = 0.25
# How far a column is moved to count the rows whose answer goes the wrong way, in standard deviations.
_MOVE = 0.1
_SIGNS = {"up": 1, "down": -1}


@dataclass(frozen=True)
class Rows:
    """Rows to fit or to answer.

    Attributes:
        x: The inputs.
        y: The target.
        truth: What answers are compared with: the target, or what it would be without noise.
    """

    x: pd.DataFrame
    y: Any
    truth: Any


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


@dataclass(frozen=True)
class Outcome:
    """Errors on one split, without and with the promise.

    Attributes:
        free: RMSE over the standard deviation of the truth, or log loss.
        monotone: The same with the promise.
        turned: Share of the test rows whose free answer goes the wrong way if a promised column moves a little.
        turned_monotone: The same with the promise.
    """

    free: float
    monotone: float
    turned: float
    turned_monotone: float


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


def known_truth(rows: Floats) -> Floats:
    """Rises with the first two of five columns in [-1, 1], falls with the third, and waves with the fourth."""
    a, b, c, d = rows.T[:4]
    truth: Floats = np.tanh(4 * a) + np.exp(b) * (1 + np.sin(3 * d)) / 2 - np.maximum(c, 0) ** 2 * 2
    return truth


def synthetic(number: int) -> tuple[Rows, Rows]:
    """300 noisy training rows, and 5,000 test rows."""
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
    Case("known truth", {"a": "up", "b": "up", "c": "down"}, synthetic),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monotone", description=__doc__.partition("\n")[0])
    parser.add_argument("--splits", type=int, default=5, help="random splits of each table (default: 5)")
    parser.add_argument("--tables", nargs="+", choices=[each.name for each in CASES], metavar="TABLE")
    options = parser.parse_args(arguments)
    lines = []
    for case in CASES:
        if options.tables is None or case.name in options.tables:
            pairs = [(ours(case, number), trees(case, number)) for number in range(options.splits)]
            lines.append(line(case, *zip(*pairs, strict=True)))
            print(*lines[-1], sep=" | ", file=sys.stderr, flush=True)
    head = ["table", "promised", "KAN free", "KAN monotone", "ratio", "turned", "trees free", "trees monotone", "ratio"]
    command = " ".join(["python -m benchmarks.monotone", *(sys.argv[1:] if arguments is None else arguments)])
    print(surroundings(command, ["scikit-learn", "torch"]), render([head, *lines]), sep="\n")
    return 0


def ours(case: Case, number: int) -> Outcome:
    """KANs, with the first plan that `kan-train init` proposes."""
    make = KANClassifier if case.is_classes else KANRegressor

    def fit(train: Rows, promised: Mapping[str, str] | None) -> Any:
        return make(search=False, random_state=number, monotone=promised).fit(train.x, train.y)

    return compare(case, number, fit)


def trees(case: Case, number: int) -> Outcome:
    """Gradient boosted trees."""
    make = HistGradientBoostingClassifier if case.is_classes else HistGradientBoostingRegressor

    def fit(train: Rows, promised: Mapping[str, str] | None) -> Any:
        signs = {name: _SIGNS[direction] for name, direction in (promised or {}).items()}
        model = make(random_state=number, categorical_features="from_dtype", monotonic_cst=signs or None)
        return Coded(model, train.x).fit(train)

    return compare(case, number, fit)


class Coded:
    """Trees that read words as categories, with the words of the training rows."""

    def __init__(self, model: Any, x: pd.DataFrame) -> None:
        words = x.select_dtypes(exclude="number").columns
        self._types = {name: pd.CategoricalDtype(sorted(x[name].dropna().astype(str).unique())) for name in words}
        self._model = model

    def fit(self, rows: Rows) -> "Coded":
        """Fit the trees."""
        self._model.fit(self._code(rows.x), rows.y)
        return self

    def predict(self, x: pd.DataFrame) -> Any:
        """Numbers."""
        return self._model.predict(self._code(x))

    def predict_proba(self, x: pd.DataFrame) -> Any:
        """Probabilities."""
        return self._model.predict_proba(self._code(x))

    def _code(self, x: pd.DataFrame) -> pd.DataFrame:
        return x.assign(**{name: x[name].astype(str).astype(kind) for name, kind in self._types.items()})


def compare(case: Case, number: int, fit: Callable[[Rows, Mapping[str, str] | None], Any]) -> Outcome:
    """Fit one split without and with the promise, and judge both on the same test rows."""
    train, test = case.split(number)
    free, monotone = fit(train, None), fit(train, case.promised)
    errors = [_error(case, model, test) for model in (free, monotone)]
    turned = [_turned(case, model, test) for model in (free, monotone)]
    return Outcome(errors[0], errors[1], turned[0], turned[1])


def _error(case: Case, model: Any, test: Rows) -> float:
    if case.is_classes:
        return float(log_loss(test.truth, model.predict_proba(test.x)))
    truth = np.asarray(test.truth, dtype=float)
    return float(np.sqrt(np.mean((model.predict(test.x) - truth) ** 2)) / truth.std())


def _turned(case: Case, model: Any, test: Rows) -> float:
    """Share of pairs of a row and a promised column whose answer goes the wrong way when the column moves."""

    def answer(x: pd.DataFrame) -> Floats:
        found: Floats = model.predict_proba(x)[:, 1] if case.is_classes else model.predict(x)
        return found

    before, shares = answer(test.x), []
    for column, direction in case.promised.items():
        moved = test.x.assign(**{column: test.x[column] + _MOVE * test.x[column].std()})
        change = _SIGNS[direction] * (answer(moved) - before)
        shares.append(float((change < -1e-9 * np.ptp(before)).mean()))
    return float(np.mean(shares))


def line(case: Case, kans: Sequence[Outcome], boosted: Sequence[Outcome]) -> list[str]:
    """A line of the table: means over the splits, and the ratio with its range."""
    promised = ", ".join(f"{name} {direction}" for name, direction in case.promised.items())
    turned = f"{100 * np.mean([each.turned for each in kans]):.0f} %"
    turned += f" → {100 * np.mean([each.turned_monotone for each in kans]):.0f} %"
    return [case.name, promised, *_cells(kans), turned, *_cells(boosted)]


def _cells(outcomes: Sequence[Outcome]) -> list[str]:
    ratios = [each.monotone / each.free for each in outcomes]
    free, monotone = (np.mean([getattr(each, name) for each in outcomes]) for name in ("free", "monotone"))
    mean = np.exp(np.mean(np.log(ratios)))
    return [f"{free:.3f}", f"{monotone:.3f}", f"{mean:.3f} ({min(ratios):.2f} to {max(ratios):.2f})"]


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
