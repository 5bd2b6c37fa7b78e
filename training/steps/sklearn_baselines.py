"""Baselines of scikit-learn: one constant answer, a linear model, boosted trees; each with the library's defaults.

They read the same features as the network. The linear model reads them imputed and standardized, the trees as they are,
since trees have an answer to a missing cell.
"""

import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.split import RowNumbers

Kind = Literal["trivial", "linear", "boosted"]
Answer = Callable[[RowNumbers], Numbers]

# Boosted trees grow one tree a class and round: with more rows times classes they would take minutes.
_MOST_BOOSTED_CELLS = 500_000
_LOGISTIC_STEPS = 1000
# Where other processes keep the cores busy, the trees' threads wait for each other. On two busy cores a fit to 5,000
# rows of 15 inputs took 25.6 s with two threads and 1.0 s with one.
_THREADS = 1


def fit_sklearn_baseline(kind: Kind, dataset: Dataset) -> tuple[Answer, str]:
    """Fit one baseline to the training rows.

    Args:
        kind: "trivial" answers the mean, or the class frequencies, of the training rows. "linear" is a ridge or
            logistic regression, "boosted" are histogram-based gradient boosted trees.
        dataset: The table.

    Returns:
        A function from row numbers to raw predictions ``[rows, targets]`` or probabilities ``[rows, classes]``; and a
        sentence on what was done differently, or "".
    """
    x = dataset.x if kind == "boosted" else _impute(dataset)
    rows, note = _choose_rows(kind, dataset)
    is_classification = dataset.task == "classification"
    model = _classifier(kind, dataset.y[rows]) if is_classification else _regressor(kind)
    targets = dataset.y[rows]
    if kind == "boosted" and not is_classification:
        # The trees learn one target each.
        model = MultiOutputRegressor(model)
    with threadpool_limits(_THREADS), warnings.catch_warnings():
        # A logistic regression that stops before its optimum is still a fair baseline.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x[rows], targets, **_weights(model, dataset, rows))

    def answer(asked: RowNumbers) -> Numbers:
        with threadpool_limits(_THREADS):
            if not is_classification:
                return np.asarray(model.predict(x[asked]), dtype=np.float64).reshape(len(asked), -1)
            # A class without a training row has the probability 0.
            found = np.zeros((len(asked), len(dataset.classes)))
            found[:, model.classes_] = model.predict_proba(x[asked])
            return found

    return answer, note


def _weights(model: Any, dataset: Dataset, rows: RowNumbers) -> dict[str, Numbers]:
    """The argument that gives a model the rows' weights; none if all rows count alike."""
    if dataset.weights is None:
        return {}
    # A pipeline passes it on to its last step.
    step = f"{model.steps[-1][0]}__" if isinstance(model, Pipeline) else ""
    return {f"{step}sample_weight": dataset.weights[rows]}


def _impute(dataset: Dataset) -> Numbers:
    imputed = np.array([0.0 if value is None else value for value in dataset.imputed])
    return np.where(np.isnan(dataset.x), imputed, dataset.x)


def _choose_rows(kind: Kind, dataset: Dataset) -> tuple[RowNumbers, str]:
    """The training rows; of too many for boosted trees a random part."""
    rows = dataset.train
    trees = len(dataset.classes) if len(dataset.classes) > 2 else 1
    most = _MOST_BOOSTED_CELLS // trees
    if kind != "boosted" or len(rows) <= most:
        return rows, ""
    chosen = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    return chosen, f"baseline: the boosted trees are fitted to {most:,} of the {len(rows):,} training rows"


def _classifier(kind: Kind, y: Numbers | RowNumbers) -> Any:
    if kind == "trivial":
        return DummyClassifier(strategy="prior")
    if kind == "linear":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=_LOGISTIC_STEPS))
    # Stopping early puts a tenth of the rows aside by class, so it needs two rows of each class, and few classes.
    _, counts = np.unique(y, return_counts=True)
    can_stop = counts.min() > 1 and 20 * len(counts) <= len(y)
    return HistGradientBoostingClassifier(random_state=0, early_stopping="auto" if can_stop else False)


def _regressor(kind: Kind) -> Any:
    if kind == "trivial":
        return DummyRegressor()
    if kind == "linear":
        return make_pipeline(StandardScaler(), Ridge())
    return HistGradientBoostingRegressor(random_state=0)
