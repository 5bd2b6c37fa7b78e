"""Classes as answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from training.calibration import class_sets
from training.data.column import class_words
from training.data.encoding import Numbers
from training.data.table import Cells, Table
from training.data.table.frame import LARGEST_EXACT
from training.errors import quoted
from training.estimators.absent_method import absent_method
from training.estimators.estimator import Callback, KANEstimator
from training.estimators.rows import SOURCE, check_lengths, read_labels


class KANClassifier(ClassifierMixin, KANEstimator):  # type: ignore[misc]
    """A KAN that answers which of two or more classes a row is of.

    The parameters that are not named here are those of :class:`training.estimators.estimator.KANEstimator`.

    Args:
        class_weight: How much the rows of a class count in the loss: by label, or ``"balanced"``; None: all alike.
        coverage: The share of new rows whose true class shall be in the set of :meth:`predict_set`, such as 0.9; None:
            there are no sets. Needs two members or more, neither ``additive`` nor ``symbolic``.

    Attributes:
        classes_: The labels, sorted.
        n_features_in_: Number of columns.
        feature_names_in_: Their names, if X had names.
    """

    predict_interval = absent_method(
        "{name} has no predict_interval: nothing lies between two classes; wanted {name}(coverage=0.9) and its "
        "predict_set, which gives the classes that a row may be of"
    )

    def __init__(
        self,
        *,
        class_weight: Mapping[Any, float] | str | None = None,
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
        self.class_weight = class_weight
        self.coverage = coverage

    def predict(self, X: Any) -> Cells:  # noqa: N803
        """The label of the most probable class of each row, ``[rows]``."""
        probabilities = self.predict_proba(X)
        found: Cells = self.classes_[probabilities.argmax(axis=1)]
        return found

    def predict_proba(self, X: Any) -> Numbers:  # noqa: N803
        """The probability of each class.

        Args:
            X: ``[rows, columns]``, the columns of the fit in their order.

        Returns:
            float64 ``[rows, classes]``, the classes in the order of ``classes_``.
        """
        answers = self._answer(X)
        places = [self._require_fit().dataset.classes.index(word) for word in self._words_of_classes]
        return answers[:, places]

    def predict_set(self, X: Any) -> NDArray[np.bool_]:  # noqa: N803
        """A set of classes for each row; a share of new rows have their true class in it.

        Args:
            X: ``[rows, columns]``, the columns of the fit in their order.

        Returns:
            bool ``[rows, classes]``, whether a class, in the order of ``classes_``, is in the set; the most probable
            one always is.

        Raises:
            ValueError: the fit made no sets.
        """
        calibrated = self._require_fit().calibrated
        if calibrated is None or not calibrated.message.HasField("sets"):
            name, last = type(self).__name__, "; learning on keeps none" if self.warm_start else ""
            raise ValueError(f"the fit made no sets of classes; wanted {name}(coverage=0.9) before it{last}")
        return class_sets(self.predict_proba(X), calibrated.message.sets.threshold)

    @property
    def _task(self) -> str:
        return "classification"

    def _keys(self) -> dict[str, Any]:
        weights = self.class_weight
        if isinstance(weights, Mapping):
            words = dict(zip(self.classes_.tolist(), self._words_of_classes, strict=True))
            weights = {words.get(label, str(label)): float(weight) for label, weight in weights.items()}
        given = {"class_weights": weights, "coverage": self.coverage}
        return super()._keys() | {key: value for key, value in given.items() if value is not None}

    def _read_target(self, y: Any, rows: int, *, is_known: bool) -> list[Cells]:
        labels = read_labels(self, y)
        check_classification_targets(labels)
        check_lengths(rows, labels)
        if not is_known:
            self.classes_ = np.unique(labels)
            self._words_of_classes = _spell_classes(self.classes_, type(self).__name__)
        elif strange := set(labels.tolist()) - set(self.classes_.tolist()):
            raise ValueError(f"the class {min(strange, key=str)!r} is none of those that were fitted: {self.classes_}")
        return [np.array(self._words_of_classes, dtype=object)[np.searchsorted(self.classes_, labels)]]


def _spell_classes(labels: Cells, name: str) -> list[str]:
    """The classes as a table spells them.

    Raises:
        ValueError: there is one class only, or a table would take a label for a missing cell or for another label.
    """
    if len(labels) < 2:
        raise ValueError(f"{name} needs two classes or more; y holds one class only: {labels.tolist()[0]!r}")
    is_number = labels.dtype.kind in "iuf" and bool((np.abs(labels.astype(np.float64)) <= LARGEST_EXACT).all())
    cells = labels.astype(np.float64) if is_number else np.array([str(each) for each in labels], dtype=object)
    words: list[str] = class_words(Table(SOURCE, {"y": cells}, len(cells)), "y").tolist()
    for place, word in enumerate(words):
        if word == "":
            raise ValueError(f"{name}: the class {labels.tolist()[place]!r} reads as a missing cell; rename it")
        if word in words[:place]:
            raise ValueError(f"{name}: two classes read as {quoted(word)}; rename one")
    return words
