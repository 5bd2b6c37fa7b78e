"""An exported estimator is a version as `kan-train run` publishes it, and a server answers as the estimator does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kan_api.v1.manifest_pb2 import ModelManifest
from service.client import Client
from tests.kit.server.kan_serve import serving
from tests.kit.unreadable import unreadable
from training import KANClassifier, KANRegressor
from training.errors import RecipeError, TrainingError
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published, PublishError
from training.publishing.repository import read_manifest
from training.recipe.config import parse_recipe

UNTIMED: dict[str, dict[str, Any]] = {"lowering": {"tune_for": []}}


@pytest.fixture(scope="module")
def regressor(people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]) -> KANRegressor:
    """Fitted to paid."""
    return KANRegressor(**quick, recipe=UNTIMED).fit(inputs, people["paid"])


@pytest.fixture(scope="module")
def classifier(people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]) -> KANClassifier:
    """Fitted to whether paid is above 2."""
    return KANClassifier(**quick, recipe=UNTIMED).fit(inputs, people["paid"] > 2)


@pytest.fixture(scope="module")
def models(regressor: KANRegressor, classifier: KANClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with both."""
    folder = tmp_path_factory.mktemp("exported") / "models"
    assert regressor.export(folder / "paid") == folder / "paid" / "1"
    assert classifier.export(str(folder / "much")) == folder / "much" / "1"
    return folder


@pytest.fixture(scope="module")
def client(models: Path) -> Iterator[Client]:
    """A client of a kan-serve of that repository."""
    with serving(models, log=models.parent / "log") as server, Client(server.grpc, 60) as connected:
        yield connected


def published(folder: Path) -> ModelManifest:
    """The manifest in a version's folder."""
    manifest = read_manifest(folder)
    assert manifest is not None
    return manifest


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as a client sends them."""
    return [
        {str(name): None if pd.isna(cell) else cell for name, cell in row.items()}
        for row in frame.to_dict(orient="records")
    ]


def test_the_server_answers_as_the_estimator(client: Client, regressor: KANRegressor, inputs: pd.DataFrame) -> None:
    """Words, gaps, dates and an unseen word, by the columns' names."""
    asked = inputs.head(20).copy()
    asked.loc[3, "town"] = "Rome"
    asked.loc[4, "age"] = np.nan
    answers = client.predict("paid", rows_of(asked)).values
    np.testing.assert_allclose(answers[:, 0], regressor.predict(asked), rtol=1e-4, atol=1e-4)


def test_the_server_gives_the_probabilities_of_the_estimator(
    client: Client, classifier: KANClassifier, inputs: pd.DataFrame
) -> None:
    """In the order of the manifest's classes, which are the labels as text."""
    answers = client.predict("much", rows_of(inputs.head(20)))
    np.testing.assert_allclose(answers.values, classifier.predict_proba(inputs.head(20)), rtol=1e-4, atol=1e-5)
    assert answers.labels == tuple(map(str, classifier.predict(inputs.head(20))))


def test_the_server_explains_as_the_estimator(client: Client, regressor: KANRegressor, inputs: pd.DataFrame) -> None:
    """The contributions of columns are those of attribution.onnx."""
    found = client.explain("paid", rows_of(inputs.head(5)))
    ours = regressor.explain(inputs.head(5))
    np.testing.assert_allclose(found.contributions[:, 0], ours[list(inputs.columns)], rtol=1e-3, atol=1e-3)


def test_a_version_is_what_the_recipe_would_have_published(
    regressor: KANRegressor, models: Path, people: pd.DataFrame, tmp_path: Path
) -> None:
    """The same graphs, network, columns and domains; an estimator only has no test rows."""
    people.to_csv(tmp_path / "rows.csv", index=False)
    manifest = published(models / "paid" / "1")
    recipe = parse_recipe(manifest.recipe, folder=tmp_path, name="the exported recipe")
    theirs: Published = train(Run(recipe, tmp_path / "models", RunFolder(tmp_path / "run")), Watcher())
    assert theirs.folder == tmp_path / "models" / "paid" / "1"
    names = {file.name: file.sha256 for file in theirs.manifest.files}
    ours = {file.name: file.sha256 for file in manifest.files}
    assert ours.keys() == names.keys()
    # The graphs and the network, bit for bit; the report tells of the test rows.
    assert {name for name in ours if ours[name] != names[name]} == {"report.html"}
    for field in ("inputs", "outputs", "columns", "features", "network", "answers", "objective", "attribution_graph"):
        assert getattr(manifest, field) == getattr(theirs.manifest, field), field
    assert (manifest.data.train_rows, manifest.data.test_rows) == (200, 0)
    shared = {name for name in manifest.metrics if name.startswith(("train_", "validation_"))}
    assert shared
    for name in shared:
        assert manifest.metrics[name] == theirs.manifest.metrics[name], name


def test_the_next_version_follows(regressor: KANRegressor, inputs: pd.DataFrame, tmp_path: Path) -> None:
    """A number is given once; an estimator of other columns needs another name."""
    assert regressor.export(tmp_path / "models" / "paid").name == "1"
    assert regressor.export(tmp_path / "models" / "paid").name == "2"
    x = np.random.default_rng(0).normal(size=(40, 2))
    other = KANRegressor(steps=1, members=2, search=False, recipe=UNTIMED).fit(x, x[:, 0])
    with pytest.raises(PublishError, match="cannot follow the version there"):
        other.export(tmp_path / "models" / "paid")
    assert sorted(each.name for each in (tmp_path / "models" / "paid").iterdir()) == ["1", "2", "config.pbtxt"]


def test_other_answers_need_a_folder_of_their_own(
    regressor: KANRegressor, classifier: KANClassifier, models: Path
) -> None:
    """The refusal tells what the folder holds, what came, and names no recipe and no command."""
    for model, name, answers in (
        (regressor, "much", "classes there and numbers here"),
        (classifier, "paid", "numbers there and classes here"),
    ):
        with pytest.raises(PublishError, match=f"{answers}; export it to a folder of its own, {models}/NAME$") as told:
            model.export(models / name)
        assert str(told.value).startswith(f"{models / name}: this model cannot follow the version there: it answers")


def test_a_corrected_column_is_told_with_the_argument_that_restores_it(tmp_path: Path, quick: dict[str, Any]) -> None:
    """Words in version 1 and numbers now: the argument in the message gives an estimator that can follow."""
    x = pd.DataFrame({"rooms": np.arange(60) % 3 + 1, "area": np.random.default_rng(0).normal(size=60)})
    y, words = x["area"] + x["rooms"], {"data": {"categories": {"rooms": ["1", "2", "3"]}}}

    def fitted(recipe: dict[str, Any]) -> KANRegressor:
        return KANRegressor(**quick | {"steps": 2}, recipe=UNTIMED | recipe).fit(x, y)

    fitted(words).export(tmp_path / "models" / "flats")
    with pytest.raises(PublishError, match='input 1 is "rooms=1" there and "rooms" here; export it to a') as told:
        fitted({}).export(tmp_path / "models" / "flats")
    argument = re.search(r"or fit on the inputs of version 1, with recipe=(.*)$", str(told.value))
    assert argument is not None
    assert fitted(ast.literal_eval(argument[1])).export(tmp_path / "models" / "flats").name == "2"


def test_a_number_is_a_name_where_models_are(regressor: KANRegressor, models: Path) -> None:
    """As in a recipe: the server takes any folder with versions for a model's."""
    assert regressor.export(models / "7") == models / "7" / "1"
    assert regressor.export(models / "7") == models / "7" / "2"


@pytest.mark.parametrize("name", ["my houses", "-x", "häuser"])
def test_a_name_that_no_model_can_have_is_refused(regressor: KANRegressor, name: str, tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(RecipeError, match=r"\[model\] name"):
        regressor.export(tmp_path / "models" / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("models", "models is a repository that holds models; wanted models/NAME"),
        ("models/paid/1", "models/paid/1: 1 is a version's number; wanted the folder of the model, models/NAME"),
        ("models/flats/1", "models/flats/1: 1 is a version's number; wanted the folder of the model, models/NAME"),
        ("models/paid/much", "models/paid is the folder of a model, with its versions; wanted the repository"),
    ],
)
def test_a_folder_where_no_server_looks_is_refused(
    regressor: KANRegressor, folder: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository itself, a version of a model that is there or not, a folder in a model's; nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "paid" / "1").mkdir(parents=True)
    (tmp_path / "models" / "paid" / "1" / "manifest.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(TrainingError, match=message):
        regressor.export(folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_told(regressor: KANRegressor, tmp_path: Path) -> None:
    """A file in its place, for example."""
    (tmp_path / "models").write_text("")
    with pytest.raises(PublishError, match="cannot publish"):
        regressor.export(tmp_path / "models" / "paid")


def test_a_folder_that_may_not_be_read_is_told(regressor: KANRegressor, tmp_path: Path) -> None:
    """Which one, and what was wanted; also where the name is a number, so that the repository is looked into first."""
    for name in ("paid", "7"):
        with unreadable(tmp_path), pytest.raises(PublishError, match=r"wanted .* may read and write$") as told:
            regressor.export(tmp_path / name)
        assert str(told.value).startswith(f"{tmp_path / name}: cannot publish: Permission denied ({tmp_path}")


def test_the_report_is_the_one_that_is_published(regressor: KANRegressor, models: Path, tmp_path: Path) -> None:
    """It judges by out-of-fold answers, shows itself in a notebook, and can be saved; printed, it says so."""
    report = regressor.report()
    assert "each by a member that did not train on it" in report.html
    assert "the same rows, each out of its fold" in report.html
    assert report._repr_html_().startswith('<iframe srcdoc="<!doctype')
    report.save(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == report.html
    kilobytes = (tmp_path / "report.html").stat().st_size / 1000
    wanted = (
        f"a report of {kilobytes:,.0f} kB: a notebook shows it as the value of a cell, save('report.html') writes it"
    )
    assert str(report) == repr(report) == f"{wanted} to a file"
    there = (models / "paid" / "1" / "report.html").read_text()
    assert "each by a member that did not train on it" in there


def test_rows_that_chose_judge_where_none_were_held_out() -> None:
    """One network, no test rows, no folds: the report judges it by its validation rows, and says what these are."""
    quick: dict[str, Any] = UNTIMED | {"symbolic": {"seeds": 1, "functions": ["x", "x^2"]}}
    a = np.random.default_rng(0).uniform(-1, 1, (120, 1))
    model = KANRegressor(symbolic=True, hidden=(), steps=30, recipe=quick).fit(a, 2 * a[:, 0] + 1)
    page = model.report().html
    assert re.search(r"to \d+ validation rows \(which chose the network\) are off by", page)
    assert "is not known" not in page


def test_a_formula_beyond_float32_is_told_and_the_estimator_answers_as_its_version(tmp_path: Path) -> None:
    """280·exp(0.0036·a) − 280 has no graph within the tolerance: answers of estimator and server are the splines'."""
    a = np.random.default_rng(0).uniform(-1, 1, (300, 1))
    y = a[:, 0] + 2e-4 * a[:, 0] ** 2
    sections: dict[str, Any] = {
        "network": {"dtype": "float64"},
        "fit": {"optimizer": "lbfgs"},
        "sparsify": None,
        "prune": None,
        "symbolic": {"choice": "by-edge", "functions": ["exp"]},
        "verify": {"tolerance": 3e-6},
    }
    model = KANRegressor(symbolic=True, hidden=(), grids=(4,), steps=20, recipe=UNTIMED | sections).fit(a, y)
    assert "exp(" in str(model.formula())
    manifest = published(model.export(tmp_path / "models" / "line"))
    assert manifest.formula == ""
    assert "exp(" in manifest.formula_details.text[0]
    assert not manifest.formula_details.served
    assert "the formula is told and not served" in model.report().html
    with serving(tmp_path / "models", log=tmp_path / "log") as server, Client(server.grpc, 60) as client:
        answers = client.predict("line", a[:50]).values[:, 0]
    np.testing.assert_allclose(answers, model.predict(a[:50].astype(np.float32)), rtol=0, atol=1e-5)
