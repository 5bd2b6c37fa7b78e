"""A recipe with additive = true: from a table to a version that a server answers with, explains and reports."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from service.client import Client
from service.client.command.description.facts import fact_lines
from tests.kit.server.kan_serve import serving
from tests.kit.watcher import Quiet
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.publishing.publish import Published
from training.publishing.repository import read_manifest
from training.recipe.config import parse_recipe

ROWS = 400
COLUMNS = ["age", "height", "town", "same"]


def _table() -> pd.DataFrame:
    """Numbers, gaps, words, a constant; targets that are a sum of curves, and five with a slope of age in each town."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.uniform(18, 90, ROWS),
            "height": random.normal(170, 10, ROWS),
            "town": random.choice(["Bonn", "Ulm", "Linz"], ROWS),
            "same": 3.0,
        }
    )
    score = 2 * np.sin(frame["age"] / 12) + (frame["town"] == "Ulm") * 1.5 + ((frame["height"] - 170) / 10) ** 2 / 3
    frame["paid"] = score + random.normal(0, 0.2, ROWS)
    frame["price"] = np.exp(frame["paid"])
    frame["count"] = random.poisson(np.exp(score / 2))
    frame["kind"] = np.where(score + random.logistic(size=ROWS) / 2 > 1, "much", "little")
    frame["size"] = pd.cut(frame["paid"], [-9, 0, 1.5, 9], labels=["s", "m", "l"]).astype(str)
    frame["weight"] = random.uniform(0.5, 2, ROWS)
    frame["house"] = random.integers(0, 60, ROWS).astype(str)
    score += np.where(frame["town"] == "Ulm", 2.0, -2.0) * (frame["age"] - 54) / 36
    frame["slope"] = score + random.normal(0, 0.2, ROWS)
    frame["steep"] = np.exp(frame["slope"])
    frame["events"] = random.poisson(np.exp(score / 2))
    frame["side"] = np.where(score + random.logistic(size=ROWS) / 2 > 1, "much", "little")
    frame["third"] = pd.cut(frame["slope"], [-9, 0, 1.5, 9], labels=["s", "m", "l"]).astype(str)
    frame.loc[::9, "height"] = np.nan
    return frame


def _run(
    folder: Path,
    target: str,
    task: str,
    more: str = "",
    data: str = "",
    name: str = "m",
    network: str = "",
    **train_: Any,
) -> Published:
    _table().to_csv(folder / "t.csv", index=False)
    text = (
        f'[model]\nname = "{name}"\n[data]\npath = "t.csv"\ntarget = "{target}"\ncolumns = {COLUMNS}\n'
        f'missing = "indicator"\n{data}[data.categories]\ntown = ["Bonn", "Ulm", "Linz"]\n[task]\n{task}\n'
        f"[network]\nadditive = true\n{network}[fit]\ngrids = [10]\n[lowering]\ntune_for = []\n{more}"
    )
    recipe = parse_recipe(text, folder=folder, name="recipe")
    return train(Run(recipe, folder / "models", RunFolder(folder / "run" / name), **train_), Quiet())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a regression of paid and a classification of kind."""
    folder = tmp_path_factory.mktemp("additive")
    _run(folder, "paid", 'kind = "regression"', name="paid", more="[attribution]\n")
    _run(folder, "kind", 'kind = "classification"', name="kind")
    return folder


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a regression and a classification, each with a pair of columns."""
    folder = tmp_path_factory.mktemp("pairs")
    _run(folder, "slope", 'kind = "regression"', name="slope", more="[attribution]\n", network="pairs = 1\n")
    _run(folder, "side", 'kind = "classification"', name="side", network="pairs = 1\n")
    return folder


def _manifest(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "models" / name / "1" / "manifest.json").read_text())
    return found


def test_a_served_additive_model_adds_up(folder: Path) -> None:
    """Through a real server: what two columns change together is the sum of what each changes alone."""
    with serving(folder / "models", log=folder / "log") as server, Client(server.grpc, 60) as client:
        low: dict[str, Any] = {"age": 20.0, "height": 160.0, "town": "Bonn", "same": 3.0}
        rows = [
            low,
            low | {"age": 50.0},
            low | {"town": "Ulm"},
            low | {"age": 50.0, "town": "Ulm"},
            low | {"height": None},
        ]
        answers = client.predict("paid", rows).values[:, 0]
        assert answers[3] - answers[0] == pytest.approx(answers[1] + answers[2] - 2 * answers[0], abs=1e-4)
        assert abs(answers[2] - answers[0] - 1.5) < 0.3
        assert np.isfinite(answers).all()
        found = client.explain("paid", rows)
        np.testing.assert_allclose(found.contributions[:, 0].sum(axis=1) + found.baseline[:, 0], answers, atol=1e-3)
        probabilities = client.predict("kind", rows).values
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
        logits = np.log(probabilities[:, 1] / probabilities[:, 0])
        assert logits[3] - logits[0] == pytest.approx(logits[1] + logits[2] - 2 * logits[0], abs=1e-3)


def test_a_served_pair_acts_together(paired: Path) -> None:
    """Through a real server: the slope of age differs by town, all other columns still add; contributions add up."""
    with serving(paired / "models", log=paired / "log") as server, Client(server.grpc, 60) as client:
        low: dict[str, Any] = {"age": 24.0, "height": 165.0, "town": "Bonn", "same": 3.0}
        rows = [
            low,
            low | {"age": 80.0},
            low | {"town": "Ulm"},
            low | {"age": 80.0, "town": "Ulm"},
            low | {"height": None},
            low | {"height": None, "age": 80.0, "town": "Ulm"},
            low | {"age": 1e9, "town": "Linz", "height": -1e9},
        ]
        answers = client.predict("slope", rows).values[:, 0]
        wanted = 2 * 2 * (80 - 24) / 36
        assert answers[3] - answers[1] - answers[2] + answers[0] == pytest.approx(wanted, abs=0.8)
        assert np.isfinite(answers).all()
        found = client.explain("slope", rows)
        np.testing.assert_allclose(found.contributions[:, 0].sum(axis=1) + found.baseline[:, 0], answers, atol=1e-3)
        probabilities = client.predict("side", rows).values
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)


def test_a_version_tells_its_pairs(paired: Path) -> None:
    """In manifest and report, where each has a map; the scores are those that a pair makes possible."""
    manifest = _manifest(paired, "slope")
    for name in ("slope", "side"):
        assert [{pair["first"], pair["second"]} for pair in _manifest(paired, name)["pairs"]] == [{"age", "town"}]
    assert manifest["metrics"]["test_rmse"] < 0.35
    page = (paired / "models" / "slope" / "1" / "report.html").read_text()
    assert "plus the sum of these curves and the maps below" in page
    assert "A map is what two columns add together" in page
    assert "; 1 pair, the strongest first: " in page
    assert not _run(paired, "slope", 'kind = "regression"', name="alone").manifest.pairs


def test_a_version_tells_out_of_fold_scores_and_how_much_it_bends(folder: Path) -> None:
    """The noise has a standard deviation of 0.2; test rows and out-of-fold answers say nearly that."""
    manifest = _manifest(folder, "paid")
    assert manifest["network"]["width"] == [7, 1] or manifest["network"]["width"] == ["7", "1"]
    assert 0.18 < manifest["metrics"]["validation_rmse"] < 0.3
    assert 0.15 < manifest["metrics"]["test_rmse"] < 0.35
    assert _manifest(folder, "kind")["metrics"]["validation_accuracy"] > 0.75


def test_the_rows_that_trained_are_all_but_the_test_rows(folder: Path) -> None:
    """Those of the validation part train too: so say manifest, `kan-client describe`, report and histograms."""
    version = folder / "models" / "paid" / "1"
    manifest = read_manifest(version)
    assert manifest is not None
    data = manifest.data
    assert (data.train_rows, data.validation_rows, data.test_rows) == (320, 0, 80)
    assert sum(manifest.features[0].histogram.counts) == 320
    assert "trained on 320 of t.csv, tested on 80\n" in "".join(fact_lines(manifest))
    page = (version / "report.html").read_text()
    assert "the same rows, each out of its fold" in page
    assert "rows that chose the network" not in page
    assert "the fit before the refit" not in page


def test_the_report_draws_every_column(folder: Path) -> None:
    """The constant column has no curve; the notes count curves and lines."""
    page = (folder / "models" / "paid" / "1" / "report.html").read_text()
    assert "effective degrees of freedom" in page
    assert "additive: 2 curves and 4 lines" in page
    assert "the sum of these curves" in page


@pytest.mark.parametrize(
    ("target", "task", "score", "least"),
    [
        ("price", 'kind = "regression"\ntarget_scale = "log"', "test_log_rmse", None),
        ("count", 'kind = "regression"\nobjective = "poisson"', "test_deviance_explained", 0.2),
        ("price", 'kind = "regression"\nobjective = "gamma"', "test_deviance_explained", 0.7),
        ("size", 'kind = "classification"', "test_accuracy", 0.7),
        ("size", 'kind = "classification"\nclass_weights = "balanced"', "test_accuracy", 0.7),
    ],
)
def test_other_tasks(tmp_path: Path, target: str, task: str, score: str, least: float | None) -> None:
    """A log scale, counts, amounts, three classes."""
    found = _run(tmp_path, target, task).manifest.metrics[score]
    assert found < 0.3 if least is None else found > least


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "task", "score", "least"),
    [
        ("events", 'kind = "regression"\nobjective = "poisson"', "test_deviance_explained", 0.4),
        ("steep", 'kind = "regression"\nobjective = "gamma"', "test_deviance_explained", 0.8),
        ("third", 'kind = "classification"\nclass_weights = "balanced"', "test_accuracy", 0.8),
    ],
)
def test_a_pair_of_other_tasks(tmp_path: Path, target: str, task: str, score: str, least: float) -> None:
    """Counts, amounts, three classes of which each has nodes of its own: the pair is found, and the score needs it."""
    manifest = _run(tmp_path, target, task, network="pairs = 1\n").manifest
    assert [{pair.first, pair.second} for pair in manifest.pairs] == [{"age", "town"}]
    assert manifest.metrics[score] > least


def test_weights_and_groups(tmp_path: Path) -> None:
    """Weights count in the fit; rows of a group are left out together."""
    published = _run(
        tmp_path,
        "paid",
        'kind = "regression"',
        data='weights = "weight"\n',
        more='[split]\nkind = "group"\ncolumn = "house"\n[baseline]\nkinds = ["trivial", "linear"]\n',
    )
    metrics = published.manifest.metrics
    assert metrics["test_rmse"] < metrics["baseline_linear_test_rmse"]


def test_edges_become_functions(tmp_path: Path) -> None:
    """[symbolic] by edge works on the curves."""
    published = _run(
        tmp_path, "paid", 'kind = "regression"', more="[symbolic]\nmin_r2 = 0.5\nmax_loss_increase = 5.0\n"
    )
    assert "sin" in published.manifest.formula


@pytest.mark.slow
def test_a_pair_becomes_a_product_of_functions(tmp_path: Path) -> None:
    """[symbolic] by edge works on the factors of a pair too."""
    published = _run(
        tmp_path,
        "slope",
        'kind = "regression"',
        more="[symbolic]\nmin_r2 = 0.5\nmax_loss_increase = 5.0\n",
        network="pairs = 1\n",
    )
    assert ")*(" in published.manifest.formula
    assert "town=Ulm" in published.manifest.formula
    assert len(published.manifest.pairs) == 1
    assert published.manifest.metrics["test_rmse"] < 0.4


@pytest.mark.parametrize("network", ["", pytest.param("pairs = 1\n", marks=pytest.mark.slow)])
def test_the_same_recipe_gives_the_same_network_and_a_finished_fit_is_resumed(tmp_path: Path, network: str) -> None:
    """Bit for bit; with --resume nothing is left to fit, and the metrics are the same."""
    first = _run(tmp_path, "slope", 'kind = "regression"', network=network)
    assert len(first.manifest.pairs) == bool(network)
    second = _run(tmp_path, "slope", 'kind = "regression"', fresh=True, network=network)
    kept = [(each.folder / "network.safetensors").read_bytes() for each in (first, second)]
    assert kept[0] == kept[1]
    assert dict(first.manifest.metrics) == dict(second.manifest.metrics)
