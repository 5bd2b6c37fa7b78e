"""Errors of a method without and with the promise, and how many of its answers go the wrong way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss

from benchmarks.monotone.cases import Case
from benchmarks.monotone.fits import SIGNS, Fit
from benchmarks.monotone.truths import Floats, Rows

# How far a column is moved to count the rows whose answer goes the wrong way, in standard deviations.
_MOVE = 0.1


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


def compare(case: Case, number: int, fit: Fit) -> Outcome:
    """Fit one split without and with the promise, and judge both on the same test rows."""
    train, test = case.split(number)
    return judge(fit(train, None), fit(train, case.promised), test, case.promised, is_classes=case.is_classes)


def judge(free: Any, monotone: Any, test: Rows, promised: Mapping[str, str], *, is_classes: bool = False) -> Outcome:
    """Ask two models, without and with the promise, for the same test rows."""
    errors = [_error(model, test, is_classes=is_classes) for model in (free, monotone)]
    turned = [_turned(model, test, promised, is_classes=is_classes) for model in (free, monotone)]
    return Outcome(errors[0], errors[1], turned[0], turned[1])


def _error(model: Any, test: Rows, *, is_classes: bool) -> float:
    if is_classes:
        return float(log_loss(test.truth, model.predict_proba(test.x)))
    truth = np.asarray(test.truth, dtype=float)
    return float(np.sqrt(np.mean((model.predict(test.x) - truth) ** 2)) / truth.std())


def _turned(model: Any, test: Rows, promised: Mapping[str, str], *, is_classes: bool) -> float:
    """Share of pairs of a row and a promised column whose answer goes the wrong way when the column moves."""

    def answer(x: pd.DataFrame) -> Floats:
        found: Floats = model.predict_proba(x)[:, 1] if is_classes else model.predict(x)
        return found

    before, shares = answer(test.x), []
    for column, direction in promised.items():
        moved = test.x.assign(**{column: test.x[column] + _MOVE * test.x[column].std()})
        change = SIGNS[direction] * (answer(moved) - before)
        shares.append(float((change < -1e-9 * np.ptp(before)).mean()))
    return float(np.mean(shares))
