"""Baselines of scikit-learn: one constant answer, a linear model, boosted trees; each with the library's defaults.

They minimize the same loss as the network, on the same scale of the target, and read the same features. The linear
model reads them imputed and standardized, the trees as they are, since trees have an answer to a missing cell.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.objective.loss_function import LossFunction
from training.data.split import RowNumbers
from training.steps.baseline_regressors import MOST_QUANTILE_ROWS, is_linear_program, regressor, target_unit
from training.steps.baseline_regressors import Kind as Kind

Answer = Callable[[RowNumbers], Numbers]

# Boosted trees grow one tree a class and round: with more rows times classes they would take minutes.
_MOST_BOOSTED_CELLS = 500_000
_LOGISTIC_STEPS = 1000
_LARGEST = float(np.finfo(np.float32).max)
# Where other processes keep the cores busy, the trees' threads wait for each other. On two busy cores a fit to 5,000
# rows of 15 inputs took 25.6 s with two threads and 1.0 s with one.
_THREADS = 1


def add_validation_rows(dataset: Dataset) -> Dataset:
    """The table whose training rows a baseline is fitted to: all rows but the test rows.

    The network learns from the validation rows or is chosen by them; a baseline needs no such choice. Without test rows
    the validation rows judge the baselines, and so train none.
    """
    return dataset.without_validation() if len(dataset.test) else dataset


def fit_sklearn_baseline(kind: Kind, dataset: Dataset) -> tuple[Answer, str]:
    """Fit one baseline to the training rows of a table.

    Args:
        kind: "trivial" answers the best constant, or the class frequencies, of the training rows. "linear" is a linear
            or logistic regression, "boosted" are histogram-based gradient boosted trees.
        dataset: The table.

    Returns:
        A function from row numbers to raw predictions ``[rows, targets]`` or probabilities ``[rows, classes]``; and a
        sentence on what was done differently, or "".
    """
    rows, note = _choose_rows(kind, dataset)
    x = _keep_gaps(dataset, rows) if kind == "boosted" else _impute(dataset)
    with threadpool_limits(_THREADS), warnings.catch_warnings():
        # A model that stops before its optimum is still a fair baseline.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if dataset.task == "classification":
            return _fit_classifier(kind, dataset, x, rows), note
        return _fit_regressor(kind, dataset, x, rows), note


def _fit_classifier(kind: Kind, dataset: Dataset, x: Numbers, rows: RowNumbers) -> Answer:
    model = _classifier(kind, dataset.y[rows])
    model.fit(x[rows], dataset.y[rows], **_weights(model, dataset, rows))

    def answer(asked: RowNumbers) -> Numbers:
        # A class without a training row has the probability 0.
        found = np.zeros((len(asked), len(dataset.classes)))
        with threadpool_limits(_THREADS):
            found[:, model.classes_] = model.predict_proba(x[asked])
        return found

    return answer


def _fit_regressor(kind: Kind, dataset: Dataset, x: Numbers, rows: RowNumbers) -> Answer:
    is_log = dataset.target_scale == "log"
    y = np.asarray(dataset.y[rows], dtype=np.float64)
    y = np.log(y) if is_log else y
    center, scale = target_unit(kind, dataset.loss, y)
    y = (y - center) / scale
    model = regressor(kind, dataset.loss, y, None if dataset.weights is None else dataset.weights[rows])
    try:
        model.fit(x[rows], y, **_weights(model, dataset, rows))
    except ValueError:
        if dataset.loss.name != "huber" or kind != "linear":
            raise
        # HuberRegressor raises if its line search ends; the squared error has a solution in any case.
        model = regressor(kind, LossFunction("squared_error"), y, None)
        model.fit(x[rows], y, **_weights(model, dataset, rows))

    def answer(asked: RowNumbers) -> Numbers:
        # Far from the training rows a log link may give numbers that no float holds.
        with threadpool_limits(_THREADS), np.errstate(over="ignore"):
            found = np.asarray(model.predict(x[asked]), dtype=np.float64).reshape(len(asked), -1) * scale + center
            found = np.exp(found) if is_log else found
        return np.clip(found, -_LARGEST, _LARGEST)

    return answer


def _weights(model: Any, dataset: Dataset, rows: RowNumbers) -> dict[str, Numbers]:
    """The argument that gives a model the rows' weights; none if all rows count alike."""
    if dataset.weights is None:
        return {}
    # A pipeline passes it on to its last step.
    step = f"{model.steps[-1][0]}__" if isinstance(model, Pipeline) else ""
    return {f"{step}sample_weight": dataset.weights[rows]}


def _keep_gaps(dataset: Dataset, rows: RowNumbers) -> Numbers:
    """The features as they are, but 0 where no row that is fitted to has a value: scikit-learn finds no bins then."""
    return np.where(np.isnan(dataset.x[rows]).all(axis=0), 0.0, dataset.x)


def _impute(dataset: Dataset) -> Numbers:
    imputed = np.array([0.0 if value is None else value for value in dataset.imputed])
    return np.where(np.isnan(dataset.x), imputed, dataset.x)


def _choose_rows(kind: Kind, dataset: Dataset) -> tuple[RowNumbers, str]:
    """The training rows; of too many for boosted trees or a linear program a random part."""
    rows = dataset.train
    if is_linear_program(kind, dataset.loss):
        most, name = MOST_QUANTILE_ROWS, "linear model is"
    else:
        trees = len(dataset.classes) if len(dataset.classes) > 2 else 1
        most, name = _MOST_BOOSTED_CELLS // trees if kind == "boosted" else len(rows), "boosted trees are"
    if len(rows) <= most:
        return rows, ""
    chosen = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    return chosen, f"baseline: the {name} fitted to {most:,} of {len(rows):,} rows"


def _classifier(kind: Kind, y: Numbers | RowNumbers) -> Any:
    if kind == "trivial":
        return DummyClassifier(strategy="prior")
    if kind == "linear":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=_LOGISTIC_STEPS))
    # Stopping early puts a tenth of the rows aside by class, so it needs two rows of each class, and few classes.
    _, counts = np.unique(y, return_counts=True)
    can_stop = counts.min() > 1 and 20 * len(counts) <= len(y)
    return HistGradientBoostingClassifier(random_state=0, early_stopping="auto" if can_stop else False)
