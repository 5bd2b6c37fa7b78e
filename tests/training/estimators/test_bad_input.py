"""What an estimator refuses, in scikit-learn's words where it has them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import DataConversionWarning, NotFittedError

from training import KANClassifier, KANRegressor
from training.estimators.publication import Report

X = np.random.default_rng(0).normal(size=(40, 3))
Y = X[:, 0] * 2


def with_gap(values: np.ndarray) -> np.ndarray:
    """The values, the fourth one missing."""
    changed = values.astype(np.float64)
    changed[3] = np.nan
    return changed


REFUSED: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "y of words": (X, np.array(["a", "b"] * 20), {}, r"^y: .*not compatible with arrays of bytes/strings"),
    "a list of words": (X, ["a", "b"] * 20, {}, r"^y: .*; wanted numbers \(words are classes, which KANClassifier"),
    "a column of words": (X, pd.Series(["7 EUR"] * 40), {}, "^y: could not convert string to float: '7 EUR'; wanted"),
    "NaN in y": (X, with_gap(Y), {}, "Input y contains NaN"),
    "no y": (X, None, {}, "requires y to be passed"),
    "too few in y": (X, Y[:30], {}, "inconsistent numbers of samples"),
    "one row": (X[:1], Y[:1], {}, r"1 sample\(s\)"),
    "no row of a frame": (pd.DataFrame(X[:0]), Y[:0], {}, r"0 sample\(s\)"),
    "no column": (X[:, :0], Y, {}, r"0 feature\(s\)"),
    "one dimension": (Y, Y, {}, "Expected 2D array"),
    "a row by name": ({"a": 1.0}, Y, {}, r"X holds values by name; wanted a DataFrame: pd.DataFrame\(\[row\]\)"),
    "rows by name": ([{"a": 1.0}] * 40, Y, {}, r"X holds values by name; wanted a DataFrame: pd.DataFrame\(rows\)"),
    "the name of a file": ("houses.csv", Y, {}, "X is the text 'houses.csv'; wanted rows: pd.read_csv"),
    "infinity": (np.where(X > 2, np.inf, X), Y, {}, "contains infinity"),
    "beyond float32": (X * 1e300, Y, {}, 'column "x0": row'),
    "a stray word": (pd.DataFrame({"a": [*map(str, X[:39, 0]), "x"]}), Y, {}, 'column "a": mostly numbers, but row 40'),
    "two columns of one name": (pd.DataFrame(X, columns=["a", "b", "a"]), Y, {}, "^X: columns 1 and 3 are both call"),
    "names of two levels": (
        pd.DataFrame(X, columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y"), ("b", "x")])),
        Y,
        {},
        "^X has column names of 2 levels; wanted one",
    ),
    "lists in cells": (
        pd.DataFrame({"a": X[:, 0], "tags": [*"ab" * 19, "a", ["a", "b"]]}),
        Y,
        {},
        'column "tags": row 40 holds more than one value; wanted a number',
    ),
    "equal targets": (X, Y * 0, {}, "the same in every training row"),
    "negative weights": (X, Y, {"sample_weight": Y}, "Negative values in data passed to `sample_weight`"),
    "NaN in weights": (X, Y, {"sample_weight": with_gap(np.abs(Y))}, "sample_weight contains NaN"),
    "too few weights": (X, Y, {"sample_weight": np.ones(3)}, r"sample_weight.shape == \(3,\)"),
    "too few groups": (X, Y, {"groups": ["a", "b"]}, "inconsistent numbers of samples"),
    "one group": (X, Y, {"groups": ["a"] * 40}, "holds 1 group"),
    "a gap in groups": (X, Y, {"groups": with_gap(Y)}, "groups has no value in row 4"),
    "an eval_set of X alone": (X, Y, {"eval_set": X}, "eval_set: wanted"),
    "NaN in y of eval_set": (X, Y, {"eval_set": (X, with_gap(Y))}, "eval_set: Input y contains NaN"),
    "two eval_sets": (X, Y, {"eval_set": [(X, Y), (X, Y)]}, "eval_set: wanted"),
    "other columns in eval_set": (X, Y, {"eval_set": (X[:, :2], Y)}, "eval_set: .*2 features, but"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_fitted_is_refused(what: str, quick: dict[str, Any]) -> None:
    """By a ValueError that says what was wanted; nothing is fitted then."""
    x, y, more, words = REFUSED[what]
    model = KANRegressor(**quick)
    with pytest.raises(ValueError, match=words):
        model.fit(x, y, **more)
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"hidden": (0,)}, r"KANRegressor: \[network\] hidden"),
        ({"hidden": "many"}, r"\[network\] hidden"),
        ({"steps": 0}, r"\[fit\] steps"),
        ({"steps": "long"}, r"\[fit\] steps"),
        ({"learning_rate": float("nan")}, r"\[fit\] learning_rate"),
        ({"members": 0}, r"\[ensemble\] members"),
        ({"objective": "accuracy"}, r"\[task\] objective"),
        ({"objective": "quantile"}, "needs quantile"),
        ({"target_scale": "log"}, r'^X and y: column "y": row \d+ holds -.* needs numbers above 0'),
        ({"random_state": -1}, "random_state: Seed must be between 0"),
        ({"recipe": {"network": {"depth": 3}}}, r"\[network\]"),
        ({"recipe": {"network": {"degree": print}}}, r"\[network\] degree"),
        ({"recipe": {"data": {"missing": "drop_rows"}}}, "each row gets an answer"),
        ({"random_state": np.random.default_rng(0)}, "random_state: .* cannot be used to seed"),
        ({"monotone": [1, 0, 0]}, r'monotone is \[1, 0, 0\]; wanted directions by column, such as {"age": "up"}'),
        (
            {"symbolic": True, "batch_rows": None, "learning_rate": None, "weight_decay": None},
            r"\[ensemble\]: not with .*; leave one out \(of an estimator: members=1\)",
        ),
        ({"callbacks": print}, "callbacks is .*; wanted a list of functions"),
        ({"recipe": {"fit": 3}}, "recipe has 'fit': 3"),
        ({"recipe": "houses.toml"}, "recipe is 'houses.toml'; wanted keys by section"),
        ({"recipe": {"data": {"columns": ["x0"]}}}, r"recipe must not change \[data\] columns"),
        ({"recipe": {"model": {"name": "houses"}}}, r"recipe must not change \[model\] name"),
        ({"recipe": {"data": None}}, r"recipe must not change \[data\]"),
        ({"recipe": {"image": {}}}, r"recipe must not change \[image\]"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(
    parameters: dict[str, Any], words: str, quick: dict[str, Any]
) -> None:
    """At the fit, as scikit-learn wants it."""
    with pytest.raises(ValueError, match=words):
        KANRegressor(**(quick | parameters)).fit(X, Y)


def test_sparse_rows_are_refused(quick: dict[str, Any]) -> None:
    """In scikit-learn's words, at the fit and later."""
    with pytest.raises(TypeError, match="Sparse data was passed"):
        KANRegressor(**quick).fit(sparse.csr_matrix(X), Y)
    with pytest.raises(TypeError, match="Sparse data was passed"):
        KANRegressor(**quick).fit(X, Y).predict(sparse.csr_matrix(X))


def test_a_column_vector_is_taken_for_its_column(quick: dict[str, Any]) -> None:
    """With scikit-learn's warning; lists are as good as arrays."""
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        found = KANRegressor(**quick).fit(X, Y[:, None]).predict(X)
    assert (found == KANRegressor(**quick).fit(X, Y.tolist()).predict(X)).all()


def test_one_feature_is_enough(quick: dict[str, Any]) -> None:
    """Also one that looks like a row number."""
    x = np.arange(40.0)[:, None]
    assert KANRegressor(**quick).fit(x, np.sin(x[:, 0] / 8)).score(x, np.sin(x[:, 0] / 8)) > 0.5


@pytest.mark.parametrize("columns", [["a", "b", "d"], ["b", "a", "c"], ["a", "b"]])
def test_columns_that_were_renamed_or_moved_are_refused(columns: list[str], quick: dict[str, Any]) -> None:
    """In scikit-learn's words, before any answer."""
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = KANRegressor(**quick).fit(frame, Y)
    moved = frame.rename(columns={"c": "d"})[columns] if "d" in columns else frame[columns]
    with pytest.raises(ValueError, match=r"feature names should match|expecting 3 features"):
        model.predict(moved)


def test_words_where_numbers_were_are_refused(quick: dict[str, Any]) -> None:
    """The column and the row are named."""
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = KANRegressor(**quick).fit(frame, Y)
    with pytest.raises(ValueError, match=r'X: column "b": row 1 holds "old", wanted a number'):
        model.predict(frame.head(2).assign(b=["old", "2"]))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["yes"] * 40, "one class only: 'yes'"),
        (["NA", "yes"] * 20, "'NA' reads as a missing cell"),
        (["yes", " yes"] * 20, 'two classes read as "yes"'),
        (["yes", None] * 20, "no label in row 2"),
        (pd.Series(["yes", float("nan")] * 20), "Input y contains no label in row 2"),
        (np.linspace(0, 1, 40), "Unknown label type"),
        (with_gap(Y > 0), "Input y contains NaN"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels: Any, words: str, quick: dict[str, Any]) -> None:
    """In scikit-learn's words, or with the label."""
    with pytest.raises(ValueError, match=words):
        KANClassifier(**quick).fit(X, labels)


def test_an_interval_around_classes_is_refused(quick: dict[str, Any]) -> None:
    """The message names the section, and the one that tells how sure a class is."""
    with pytest.raises(ValueError, match=r"KANClassifier: .*\[intervals\].*of classes see \[calibration\]"):
        KANClassifier(**(quick | {"recipe": {"intervals": {"coverage": 0.9}}})).fit(X, Y > 0)


def test_a_class_of_eval_set_that_y_lacks_is_refused(quick: dict[str, Any]) -> None:
    """No probability could be its own."""
    with pytest.raises(ValueError, match="the class 2 is none of those that were fitted"):
        KANClassifier(**quick).fit(X, Y > 0, eval_set=(X, [0, 1] * 19 + [2, 2]))


def test_a_failed_fit_leaves_the_last_one(quick: dict[str, Any]) -> None:
    """The answers stay those of the fit that came to its end."""
    model = KANRegressor(**quick).fit(X, Y)
    before = model.predict(X)
    with pytest.raises(ValueError, match=r"\[fit\] steps"):
        model.set_params(steps=0).fit(X, -Y)
    assert (model.predict(X) == before).all()


@pytest.mark.parametrize("ask", ["predict", "explain", "fit"])
def test_a_word_among_the_numbers_of_a_fitted_model_is_a_bad_cell(ask: str, quick: dict[str, Any]) -> None:
    """After the fit no key of a recipe makes words of the column, so none is advised; learning on is no other fit."""
    frame = pd.DataFrame({"age": X[:, 0], "height": X[:, 1]})
    model = KANRegressor(**(quick | {"steps": 1}), warm_start=True).fit(frame, Y)
    stray = frame.astype(object)
    stray.loc[2, "age"] = "old"
    with pytest.raises(ValueError, match='column "age": row 3 holds "old", wanted a number') as caught:
        model.fit(stray, Y) if ask == "fit" else getattr(model, ask)(stray)
    assert "(the model was fitted to numbers in this column)" in str(caught.value)


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("age", "1,5", 'wanted a number (decimals are written with a point; pandas reads commas with decimal=",")'),
        ("day", "soon", 'which is no date of the format "iso" that the model was fitted to; correct the cell or leave'),
        ("town", "Rome", 'which is not among the words that the model was fitted to: "Bonn", "Ulm"'),
    ],
)
def test_a_bad_cell_of_an_estimator_is_told_without_keys_of_a_recipe(
    column: str, cell: str, words: str, quick: dict[str, Any]
) -> None:
    """No key can change how a fitted model reads a column, and no file is there to be read otherwise."""
    frame = pd.DataFrame(
        {"age": X[:, 0], "day": pd.date_range("2024-01-01", periods=len(X)), "town": ["Bonn", "Ulm"] * 20}
    )
    model = KANRegressor(**(quick | {"steps": 1, "recipe": {"data": {"unseen": "refuse"}}})).fit(frame, Y)
    stray = frame.astype(object)
    stray.loc[2, column] = cell
    with pytest.raises(ValueError, match=f'column "{column}": row 3 holds "{cell}"') as caught:
        model.predict(stray)
    assert words in str(caught.value)
    assert "[data" not in str(caught.value)


def test_decimal_commas_in_a_frame_name_pandas_and_no_option(quick: dict[str, Any]) -> None:
    """There is no command line whose option would read them."""
    frame = pd.DataFrame({"age": [f"{number:.2f}".replace(".", ",") for number in X[:, 0]], "height": X[:, 1]})
    with pytest.raises(ValueError, match='pandas reads them with decimal=","') as caught:
        KANRegressor(**quick).fit(frame, Y)
    assert "--decimal" not in str(caught.value)


@pytest.mark.parametrize("name", ["report.pdf", "report"])
def test_a_report_is_saved_as_a_page_only(name: str, tmp_path: Path) -> None:
    """Under another name no program would show the page; nothing is written."""
    with pytest.raises(ValueError, match=rf"{name}: a report is a page of HTML; wanted a name that ends in .html"):
        Report("<p>1</p>").save(tmp_path / name)
    assert not list(tmp_path.iterdir())
