"""Numbers as answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from training.data.encoding import Numbers
from training.data.table import Cells
from training.estimators.absent_method import absent_method
from training.estimators.estimator import Callback, KANEstimator
from training.estimators.rows import check_lengths, read_numbers
from training.intervals.judge import bounds_of


class KANRegressor(RegressorMixin, KANEstimator):  # type: ignore[misc]
    """A KAN that answers numbers: one target or several.

    The parameters that are not named here are those of :class:`training.estimators.estimator.KANEstimator`.

    Args:
        objective: What is minimized: ``squared_error``, ``mae``, ``huber``, ``quantile``, ``poisson`` or ``gamma``.
        quantile: Of ``quantile``, the share of targets below the answer.
        huber_delta: Of ``huber``, the error from which it counts linearly.
        target_scale: ``linear`` or ``log``; None: what `kan-train init` proposes.
        coverage: The share of new rows that shall lie between the bounds of :meth:`predict_interval`, such as 0.9;
            None: there are no bounds.

    Attributes:
        n_features_in_: Number of columns.
        feature_names_in_: Their names, if X had names.
    """

    predict_set = absent_method(
        "{name} has no predict_set: numbers have no classes; wanted {name}(coverage=0.9) and its predict_interval with "
        "bounds of each answer"
    )

    def __init__(
        self,
        *,
        objective: str = "squared_error",
        quantile: float | None = None,
        huber_delta: float | None = None,
        target_scale: str | None = None,
        coverage: float | None = None,
        hidden: Sequence[int] | None = None,
        grids: Sequence[int] | None = None,
        steps: int | None = None,
        batch_rows: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        smoothness: float | None = None,
        monotone: Mapping[str, str] | None = None,
        members: int | None = None,
        additive: bool = False,
        pairs: int | None = None,
        search: bool = True,
        symbolic: bool = False,
        recipe: Mapping[str, Mapping[str, Any] | None] | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: bool | int = False,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        super().__init__(
            hidden=hidden,
            grids=grids,
            steps=steps,
            batch_rows=batch_rows,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            smoothness=smoothness,
            monotone=monotone,
            members=members,
            additive=additive,
            pairs=pairs,
            search=search,
            symbolic=symbolic,
            recipe=recipe,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
            callbacks=callbacks,
        )
        self.objective = objective
        self.quantile = quantile
        self.huber_delta = huber_delta
        self.target_scale = target_scale
        self.coverage = coverage

    def predict(self, X: Any) -> Numbers:  # noqa: N803
        """The answers.

        Args:
            X: ``[rows, columns]``, the columns of the fit in their order.

        Returns:
            float64 ``[rows]``, or ``[rows, targets]`` after a fit of several targets.
        """
        answers = self._answer(X)
        return answers[:, 0] if answers.shape[1] == 1 else answers

    def predict_interval(self, X: Any) -> tuple[Numbers, Numbers]:  # noqa: N803
        """The lower and the upper bounds of the answers; a share of ``coverage`` of new rows lies between them.

        Args:
            X: ``[rows, columns]``, the columns of the fit in their order.

        Returns:
            Two arrays of the shape of :meth:`predict`. They are the outputs ``lower`` and ``upper`` of the published
            graph.

        Raises:
            ValueError: the fit made no bounds.
        """
        if self._require_fit().trained.intervals is None:
            name, last = type(self).__name__, "; learning on keeps none" if self.warm_start else ""
            raise ValueError(f"the fit made no bounds; wanted {name}(coverage=0.9) before it{last}")
        lower, upper = bounds_of(self._exact(), self._features(X))
        return (lower[:, 0], upper[:, 0]) if lower.shape[1] == 1 else (lower, upper)

    @property
    def _task(self) -> str:
        return "regression"

    def _keys(self) -> dict[str, Any]:
        given = {"quantile": self.quantile, "huber_delta": self.huber_delta, "target_scale": self.target_scale}
        given["coverage"] = self.coverage
        if self.objective != "squared_error":
            given["objective"] = self.objective
        return super()._keys() | {key: value for key, value in given.items() if value is not None}

    def _read_target(self, y: Any, rows: int, *, is_known: bool) -> list[Cells]:  # noqa: ARG002 - the other reads labels
        numbers = read_numbers(self, y)
        check_lengths(rows, numbers)
        return list(np.ascontiguousarray(numbers.T))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
