"""The two methods, each without and with a promise."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from benchmarks.monotone.truths import Rows
from training import KANClassifier, KANRegressor

# A model of these rows, without a promise or with one.
Fit = Callable[[Rows, Mapping[str, str] | None], Any]
SIGNS = {"up": 1, "down": -1}


def kans(seed: int, *, is_classes: bool = False) -> Fit:
    """KANs, with the first plan that `kan-train init` proposes."""
    make = KANClassifier if is_classes else KANRegressor

    def fit(train: Rows, promised: Mapping[str, str] | None) -> Any:
        return make(search=False, random_state=seed, monotone=promised).fit(train.x, train.y)

    return fit


def trees(seed: int, *, is_classes: bool = False) -> Fit:
    """Gradient boosted trees."""
    make = HistGradientBoostingClassifier if is_classes else HistGradientBoostingRegressor

    def fit(train: Rows, promised: Mapping[str, str] | None) -> Any:
        signs = {name: SIGNS[direction] for name, direction in (promised or {}).items()}
        model = make(random_state=seed, categorical_features="from_dtype", monotonic_cst=signs or None)
        return Coded(model, train.x).fit(train)

    return fit


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
