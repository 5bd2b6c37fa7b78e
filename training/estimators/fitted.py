"""What can be done with a fitted estimator beside asking it: look at it, explain its answers, publish it."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.utils.validation import check_is_fitted

from kan_api.v1.manifest_pb2 import ModelManifest
from training.data.encoding import Numbers, feature_matrix
from training.estimators.insight import (
    ColumnEffect,
    Formula,
    Picture,
    draw_network,
    explain_rows,
    read_formula,
    show_effect,
)
from training.estimators.publication import Report, publish_fit, write_report
from training.estimators.rows import read_inputs
from training.pipelines.fresh.judged_fit import JudgedFit
from training.publishing.export import Trained
from training.publishing.manifest import outline
from training.recipe.config import Recipe


class FittedKAN:
    """A fit, and the recipe that it followed."""

    _fit: JudgedFit
    _recipe: Recipe

    @property
    def recipe_(self) -> str:
        """The recipe that was followed, as TOML: `kan-train run` fits the same network with it."""
        return self._followed().text

    def plot(self) -> Picture:
        """The network as a diagram, with the curve of each edge."""
        return draw_network(self._outline(), self._require_fit())

    def effect(self, column: str) -> ColumnEffect:
        """How the answers change with a column while all others stay as they are.

        Args:
            column: Its name; of an array "x0", "x1", …; of a column of dates "day: days", "day: month", "day: weekday".

        Raises:
            ValueError: there is no such column, or it has one value only.
        """
        return show_effect(self._outline(), self._require_fit(), column)

    def formula(self) -> Formula:
        """The formula that the network is, or that was found beside it.

        Raises:
            ValueError: there is none. The message tells why.
        """
        return read_formula(self._outline(), self._require_fit(), type(self).__name__)

    def explain(self, X: Any) -> pd.DataFrame:  # noqa: N803
        """How much each column adds to the answer to each row, beside the answer to a usual row, the baseline.

        Args:
            X: ``[rows, columns]``, the columns of the fit in their order.

        Returns:
            A row for each row; with the index of X, if it has one. See docs/explanations.md.
        """
        found = explain_rows(self._outline(), self._require_fit(), self._features(X))
        return found.set_axis(X.index, axis=0) if isinstance(X, pd.DataFrame) else found

    def report(self) -> Report:
        """The report that `export` publishes; no version is made."""
        return write_report(self._followed(), self._require_fit())

    def export(self, folder: str | Path) -> Path:
        """Publish the next version of a model, as `kan-train run` does.

        Args:
            folder: ``models/NAME``: the model's folder in a model repository. Both are created where they are missing.

        Returns:
            The folder of the version, such as ``models/NAME/1``.

        Raises:
            ValueError: no model can be called NAME, or NAME is a number and no repository that holds models is there.
            TrainingError: the folder is a repository that holds models, or lies in a model's folder; the version cannot
                follow the newest one, its graphs are not exact enough, or the folder cannot be read or written.
                Nothing is published then.
        """
        return publish_fit(folder, self._followed(), self._require_fit())

    def _features(self, x: Any) -> Numbers:
        """``[rows, features]``, raw."""
        columns = self._require_fit().dataset.columns
        return feature_matrix(read_inputs(self, x, names=self._names()), columns, are_fitted=True)[0]

    def _exact(self) -> Trained:
        """The fitted network in float64."""
        trained = self._require_fit().trained
        return replace(trained, kan=copy.deepcopy(trained.kan).double())

    def _names(self) -> tuple[str, ...]:
        """Of the columns at the fit."""
        return tuple(column.name for column in self._require_fit().dataset.columns)

    def _outline(self) -> ModelManifest:
        """The names of inputs and outputs."""
        return outline(self._followed(), self._require_fit().dataset)

    def _followed(self) -> Recipe:
        check_is_fitted(self)
        return self._recipe

    def _require_fit(self) -> JudgedFit:
        check_is_fitted(self)
        return self._fit

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fit")
