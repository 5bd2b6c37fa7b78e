"""Objectives other than squared error, from the recipe to the served graph and its metrics."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn import metrics as sk

from kan_model.onnx_runtime import run as run_model
from training.data.dataset import prepare
from training.data.encoding import Numbers
from training.errors import DataError, TrainingError
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder, identity_of
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published
from training.recipe.config import Recipe, parse_recipe
from training.report.summary import of_run

# For each objective the name of its own metric, and how scikit-learn computes it and its share that is explained.
METRICS: dict[str, tuple[str, Callable[..., float], Callable[..., float]]] = {
    "mae": ("mae", sk.mean_absolute_error, sk.d2_absolute_error_score),
    "quantile": (
        "pinball_loss",
        lambda y, f: sk.mean_pinball_loss(y, f, alpha=0.9),
        lambda y, f: sk.d2_pinball_score(y, f, alpha=0.9),
    ),
    "poisson": ("poisson_deviance", sk.mean_poisson_deviance, lambda y, f: sk.d2_tweedie_score(y, f, power=1)),
    "gamma": ("gamma_deviance", sk.mean_gamma_deviance, lambda y, f: sk.d2_tweedie_score(y, f, power=2)),
}
KEYS = {name: f'objective = "{name}"' for name in (*METRICS, "huber")} | {
    "quantile": 'objective = "quantile"\nquantile = 0.9',
    "huber": 'objective = "huber"\nhuber_delta = 2.5',
}
SAID = {
    "mae": b"the median of similar rows",
    "huber": b"without errors above 2.5",
    "quantile": b"the 0.9 quantile",
    "poisson": b"Poisson deviance",
    "gamma": b"gamma deviance",
}


def write(folder: Path, objective: str, sections: str = "", target: Numbers | None = None) -> Recipe:
    """A table whose mean is a curve, with the noise of the objective, and its recipe."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (400, 2))
    mean = np.exp(1.5 + np.sin(3 * x[:, 0]) + 0.5 * x[:, 1])
    drawn = {"poisson": random.poisson(mean), "gamma": mean * random.gamma(4, 1 / 4, 400)}
    y = drawn.get(objective, mean + random.normal(0, 1, 400)) if target is None else target
    pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y}).to_csv(folder / "t.csv", index=False)
    text = (
        '[model]\nname = "m"\n[data]\npath = "t.csv"\ntarget = "y"\ncolumns = ["a", "b"]\n[task]\nkind = "regression"\n'
        f"{KEYS.get(objective, objective)}\n[network]\nhidden = []\n[lowering]\ntune_for = []\n[fit]\n"
    )
    return parse_recipe(text + (sections or "grids = [5]\nsteps = 40\n"), folder=folder, name="m.toml")


def publish(recipe: Recipe, folder: Path) -> Published:
    """Train and publish."""
    return train(Run(recipe, folder / "models", RunFolder(folder / "run")), Watcher())


def answers_of(published: Published, recipe: Recipe) -> tuple[Numbers, Numbers]:
    """The truth of the held-out rows, and the graph's answers."""
    dataset = prepare(recipe)
    rows = dataset.x[dataset.test].astype(np.float32)
    found = run_model(onnx.load(published.folder / "model.onnx"), rows)
    return dataset.y[dataset.test].astype(np.float64), found.astype(np.float64)


@pytest.mark.parametrize("objective", KEYS)
def test_a_version_of_each_objective(objective: str, tmp_path: Path) -> None:
    """It explains what can be; metrics are scikit-learn's of the graph's answers; the report tells what it is."""
    recipe = write(tmp_path, objective)
    published = publish(recipe, tmp_path)
    truth, answers = answers_of(published, recipe)
    metrics, fitted = published.manifest.metrics, published.manifest.objective
    assert metrics["test_r2"] == pytest.approx(sk.r2_score(truth, answers), rel=1e-3)
    if objective != "huber":
        name, of_loss, explained = METRICS[objective]
        assert metrics[f"test_{name}"] == pytest.approx(of_loss(truth, answers), rel=1e-3)
        assert metrics["test_deviance_explained"] == pytest.approx(explained(truth, answers), rel=1e-3)
        assert metrics["test_deviance_explained"] > 0.4
    assert fitted.loss == objective
    assert SAID[objective] in (published.folder / "report.html").read_bytes()
    assert published.manifest.lowering.max_relative_error < 1e-5
    assert answers.min() > 0 or objective not in ("poisson", "gamma")
    assert "worse than" not in of_run(published, tmp_path)


def test_a_quantile_has_its_share_of_rows_below(tmp_path: Path) -> None:
    """Of all rows about 90 % lie below the answer for 0.9; the metric says so of the held-out rows."""
    recipe = write(tmp_path, "quantile")
    published = publish(recipe, tmp_path)
    truth, answers = answers_of(published, recipe)
    share = float((truth <= answers).mean())
    assert published.manifest.metrics["test_share_below"] == pytest.approx(share)
    assert 0.8 <= share <= 0.98
    assert published.manifest.objective.quantile == 0.9


@pytest.mark.parametrize("objective", ["mae", "huber"])
def test_outliers_do_not_move_robust_objectives(objective: str, tmp_path: Path) -> None:
    """Twenty rows that are wrong by a million: half of the others' answers are off by less than 1.5."""
    recipe = write(tmp_path, objective)
    truth = pd.read_csv(tmp_path / "t.csv")["y"].to_numpy()
    wrong = np.arange(400) % 20 == 3
    recipe = write(tmp_path, objective, target=np.where(wrong, 1e6, truth))
    published = publish(recipe, tmp_path)
    rows = pd.read_csv(tmp_path / "t.csv")[["a", "b"]].to_numpy(np.float32)
    answers = run_model(onnx.load(published.folder / "model.onnx"), rows)[:, 0]
    assert np.median(np.abs(answers - truth)[~wrong]) < 1.5


def test_all_steps_heed_the_objective(tmp_path: Path) -> None:
    """Pruning, formulas and the baseline fit and judge by it; the formula ends in the exp of the link."""
    sections = (
        'optimizer = "lbfgs"\ngrids = [5]\nsteps = 30\n[prune]\n[symbolic]\nmin_r2 = 0.9\nfunctions = ["x", "sin"]\n'
        "[baseline]\n[verify]\ntolerance = 1e-4\n"
    )
    recipe = write(tmp_path, "poisson", sections)
    published = publish(recipe, tmp_path)
    manifest = published.manifest
    assert "exp(" in manifest.formula
    assert "sin(" in manifest.formula
    assert manifest.metrics["baseline_test_deviance_explained"] > 0.3
    assert manifest.metrics["test_deviance_explained"] > 0.5


@pytest.mark.parametrize(
    ("objective", "bad", "why"),
    [
        ("poisson", -1.0, r"row 6 \(line 7\) holds -1; .*poisson.* needs counts or rates, 0 or more, and 2 of 400"),
        ("gamma", 0.0, r"row 6 \(line 7\) holds 0; .*gamma.* needs numbers above 0, and 2 of 400"),
    ],
)
def test_targets_that_an_objective_does_not_allow_are_refused(
    tmp_path: Path, objective: str, bad: float, why: str
) -> None:
    """Before training, with the first row."""
    target = np.linspace(1, 9, 400)
    target[[5, 9]] = bad
    with pytest.raises(DataError, match=f'"y": {why}'):
        prepare(write(tmp_path, objective, target=target))


def test_zeros_are_counts(tmp_path: Path) -> None:
    """A poisson target may be 0 in most rows."""
    target = (np.arange(400) % 10 == 0).astype(float)
    assert prepare(write(tmp_path, "poisson", target=target)).y.min() == 0


def test_a_version_learns_on_by_its_own_objective_only(tmp_path: Path) -> None:
    """Another objective is refused by name; the same one goes on from the version's link."""
    recipe = write(tmp_path, "poisson")
    publish(recipe, tmp_path)
    text = recipe.text.replace('name = "m"', 'name = "m"\ncontinue_from = "models/m/1"')
    text = text.replace("[network]\nhidden = []\n", "").replace("grids = [5]\n", "")
    on = parse_recipe(text, folder=tmp_path, name="on.toml")
    assert publish(on, tmp_path).manifest.metrics["test_deviance_explained"] > 0.4
    other = text.replace('objective = "poisson"', "").replace("models/m/1", "models/m/2")
    with pytest.raises(TrainingError, match='objective = "poisson"; the recipe has "squared_error"'):
        publish(parse_recipe(other, folder=tmp_path, name="other.toml"), tmp_path)


def test_each_objective_is_a_run_of_its_own(tmp_path: Path) -> None:
    """A run is gone on with by the same objective and its numbers; the default is that of recipes without the key."""
    recipes = [
        write(tmp_path, key, target=np.linspace(1, 5, 400))
        for key in (*KEYS, 'objective = "quantile"\nquantile = 0.5', "")
    ]
    assert len({identity_of(recipe, prepare(recipe)) for recipe in recipes}) == len(recipes)
    default = write(tmp_path, 'objective = "squared_error"', target=np.linspace(1, 5, 400))
    assert identity_of(default, prepare(default)) == identity_of(recipes[-1], prepare(recipes[-1]))
