"""The peers: a function each that fits one with its defaults and returns how it answers."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.tables.cells import key_of_code
from benchmarks.tables.methods.preparation import Floats, as_frame, as_numbers, find_columns

# HistGradientBoosting takes no column with more words.
_MOST_WORDS = 254
_SERVED_ROWS = 1024
_ROOT = Path(__file__).parents[3]
ADDITIVE, PAIRS = "additive", "additive with pairs"
# The most terms of two columns of the latter.
_PAIRS = 10


@dataclass(frozen=True)
class Problem:
    """Rows to train on.

    Attributes:
        inputs: The columns as pandas reads them.
        targets: Numbers, or classes from 0.
        classes: How many classes; 0 for a regression.
        keep: Folder for what is measured later (LightGBM's model).
    """

    inputs: pd.DataFrame
    targets: NDArray[Any]
    classes: int
    keep: Path


# Takes rows; returns a number, or a probability of each class, for each.
Answer = Callable[[pd.DataFrame], Floats]


@dataclass(frozen=True)
class Peer:
    """One peer.

    Attributes:
        fit: Fits it.
        module: What it imports; its import does not count as part of the fit.
        packages: The packages whose versions change its answers.
        revision: Raise it when `fit` here changes: cells of other revisions are measured anew.
        code: Folders of ours whose sources change its answers.
    """

    fit: Callable[[Problem], Answer]
    module: str
    packages: tuple[str, ...]
    revision: int = 1
    code: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Changes when its answers may."""
        parts = [*(f"{package}={version(package)}" for package in self.packages), f"revision={self.revision}"]
        return " ".join([*parts, *([f"code={key_of_code(_ROOT, self.code)}"] if self.code else [])])


def fit_lightgbm(problem: Problem) -> Answer:
    """LightGBM on numbers, with its own way for words; its booster is kept for the timing of its answers."""
    import lightgbm

    columns = find_columns(problem.inputs)
    rows, words = as_numbers(columns, problem.inputs)
    make = lightgbm.LGBMClassifier if problem.classes else lightgbm.LGBMRegressor
    model = make(n_jobs=1, verbose=-1, random_state=0)
    model.fit(rows, problem.targets, categorical_feature=words)

    def answer(inputs: pd.DataFrame) -> Floats:
        asked = as_numbers(columns, inputs)[0]
        problem.keep.mkdir(parents=True, exist_ok=True)
        model.booster_.save_model(problem.keep / "lightgbm.txt")
        np.save(problem.keep / "lightgbm_rows.npy", np.resize(asked, (_SERVED_ROWS, asked.shape[1])))
        return _answers(model, asked, problem)

    return answer


def fit_hist_gradient_boosting(problem: Problem) -> Answer:
    """scikit-learn's boosted trees on histograms; rare words beyond the 254 that they take count as missing."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    columns = find_columns(problem.inputs)
    rows, words = as_numbers(columns, problem.inputs, _MOST_WORDS)
    make = HistGradientBoostingClassifier if problem.classes else HistGradientBoostingRegressor
    model = make(categorical_features=words or None, random_state=0).fit(rows, problem.targets)
    return lambda inputs: _answers(model, as_numbers(columns, inputs, _MOST_WORDS)[0], problem)


def fit_ebm(problem: Problem) -> Answer:
    """An explainable boosting machine of interpret, with pairs, on one thread."""
    from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor

    columns = find_columns(problem.inputs)
    make = ExplainableBoostingClassifier if problem.classes else ExplainableBoostingRegressor
    model = make(n_jobs=1).fit(as_frame(columns, problem.inputs), problem.targets)
    return lambda inputs: _answers(model, as_frame(columns, inputs), problem)


def fit_ebm_alone(problem: Problem) -> Answer:
    """EBM without pairs: a sum of functions of single columns."""
    from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor

    columns = find_columns(problem.inputs)
    make = ExplainableBoostingClassifier if problem.classes else ExplainableBoostingRegressor
    model = make(n_jobs=1, interactions=0).fit(as_frame(columns, problem.inputs), problem.targets)
    return lambda inputs: _answers(model, as_frame(columns, inputs), problem)


def fit_additive(problem: Problem, pairs: int = 0) -> Answer:
    """Our additive models, by the estimators: numbers and words as the draft of `kan-train init` reads them."""
    from training import KANClassifier, KANRegressor

    columns = find_columns(problem.inputs)
    model = (KANClassifier if problem.classes else KANRegressor)(additive=True, pairs=pairs)
    model.fit(as_frame(columns, problem.inputs), problem.targets)
    return lambda inputs: _answers(model, as_frame(columns, inputs), problem)


def fit_additive_with_pairs(problem: Problem) -> Answer:
    """The same with at most ten terms of two columns."""
    return fit_additive(problem, _PAIRS)


def fit_mlp(problem: Problem) -> Answer:
    """scikit-learn's MLP in a pipeline: numbers imputed and scaled, words one-hot, targets that are numbers scaled."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.preprocessing import StandardScaler

    if problem.classes:
        return _fit_pipeline(problem, MLPClassifier(random_state=0))
    return _fit_pipeline(
        problem, TransformedTargetRegressor(MLPRegressor(random_state=0), transformer=StandardScaler())
    )


def fit_linear(problem: Problem) -> Answer:
    """Ridge or logistic regression in the MLP's pipeline."""
    from sklearn.linear_model import LogisticRegression, Ridge

    return _fit_pipeline(problem, LogisticRegression(max_iter=1000) if problem.classes else Ridge())


def fit_kanboost(problem: Problem) -> Answer:
    """kanboost, told which columns hold words; a gap among words is a word of its own."""
    from kanboost import KANBoostClassifier, KANBoostRegressor

    columns = find_columns(problem.inputs)
    words = list(columns.words)

    def prepare(inputs: pd.DataFrame) -> pd.DataFrame:
        frame = as_frame(columns, inputs)
        frame[words] = frame[words].fillna("")
        return frame

    make = KANBoostClassifier if problem.classes else KANBoostRegressor
    model = make(categorical_cols=words or None, device="cpu").fit(prepare(problem.inputs), problem.targets)
    return lambda inputs: _answers(model, prepare(inputs), problem)


PEERS = {
    "EBM": Peer(fit_ebm, "interpret.glassbox", ("interpret-core",)),
    "HistGB": Peer(fit_hist_gradient_boosting, "sklearn.ensemble", ("scikit-learn",)),
    "LightGBM": Peer(fit_lightgbm, "lightgbm", ("lightgbm",)),
    "MLP": Peer(fit_mlp, "sklearn.neural_network", ("scikit-learn",)),
    "linear": Peer(fit_linear, "sklearn.linear_model", ("scikit-learn",)),
    "kanboost": Peer(fit_kanboost, "kanboost", ("kanboost", "torch")),
    "EBM alone": Peer(fit_ebm_alone, "interpret.glassbox", ("interpret-core",)),
    ADDITIVE: Peer(fit_additive, "training.estimators", ("torch",), code=("kan_model", "training")),
    PAIRS: Peer(fit_additive_with_pairs, "training.estimators", ("torch",), code=("kan_model", "training")),
}
# Methods of sums of curves; a run has them only where it names them.
OF_CURVES = ("EBM alone", ADDITIVE, PAIRS)


def _fit_pipeline(problem: Problem, model: Any) -> Answer:
    from sklearn.compose import ColumnTransformer
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = find_columns(problem.inputs)
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = make_pipeline(
        SimpleImputer(strategy="constant", fill_value=""), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    )
    prepare = ColumnTransformer(
        [("numbers", numbers, [*columns.numbers, *columns.dates]), ("words", words, list(columns.words))]
    )
    pipeline = make_pipeline(prepare, model)
    with warnings.catch_warnings():
        # Its default of 200 epochs is what is measured.
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(as_frame(columns, problem.inputs), problem.targets)
    return lambda inputs: _answers(pipeline, as_frame(columns, inputs), problem)


def _answers(model: Any, rows: Any, problem: Problem) -> Floats:
    answers = model.predict_proba(rows) if problem.classes else model.predict(rows)
    return np.asarray(answers, dtype=float)
