"""[attribution]: which inputs matter, and which act together, as a run tells it."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest

from kan_model.onnx_runtime import run as run_model
from training.data.dataset import prepare
from training.errors import RecipeError
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published
from training.recipe.config import Recipe, parse_recipe


def published(recipe: Recipe, place: Path) -> Published:
    """Train and publish below ``place``."""
    return train(Run(recipe, place / "models", RunFolder(place / "run")), Watcher())


def test_scores_are_the_shares_of_the_spread(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """For 3·sin(a) + b a score is std(part) / std(target), by NumPy from the table; nothing acts together."""
    recipe = wave("[attribution]\n")
    version = published(recipe, tmp_path)
    told, pairs = version.notes
    scores = {name: float(value) for name, value in re.findall(r'"(\w+)" ([\d.e-]+)', told)}
    dataset = prepare(recipe)
    x = dataset.x[dataset.train]
    a, b = 3 * np.sin(x[:, 0]), x[:, 1]
    whole = (a + b).std()
    assert scores["a"] == pytest.approx(a.std() / whole, rel=0.03)
    assert scores["b"] == pytest.approx(b.std() / whole, rel=0.03)
    assert scores["idle"] < 0.03
    assert pairs == "pairs: none act together"
    assert [feature.attribution for feature in version.manifest.features] == pytest.approx(
        [scores[name] for name in ("a", "b", "idle")], rel=0.1
    )


def test_a_pair_that_acts_together_is_told(tmp_path: Path) -> None:
    """exp(sin(πx) + y²) is no sum: the pair's share of the variance is that of the function itself, by NumPy.

    Within a half: the share is estimated from the training rows, here a fifth too high.
    """
    recipe = parse_recipe(
        '[model]\nname = "toy"\n[data]\nsource = "toy:exp(sin(pi*x)+y^2)"\n[task]\nkind = "regression"\n'
        '[network]\nhidden = [2]\ndtype = "float64"\n[fit]\noptimizer = "lbfgs"\ngrids = [6]\nsteps = 60\n'
        "[lowering]\ntune_for = []\n[attribution]\ninputs = 1\npairs = 1\n",
        folder=tmp_path,
        name="toy.toml",
    )
    told, pairs = published(recipe, tmp_path).notes
    assert re.fullmatch(r'attribution: "x" [\d.]+ and 1 more', told)
    x, y, x2, y2 = np.random.default_rng(0).uniform(-1, 1, (4, 200_000))

    def truth(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        values: np.ndarray = np.exp(np.sin(np.pi * x) + y**2)
        return values

    both = truth(x, y) - truth(x2, y) - truth(x, y2) + truth(x2, y2)
    share = (both**2).mean() / 4 / truth(x, y).var()
    found = re.fullmatch(r'pairs, share of the variance: "x" with "y" ([\d.]+)', pairs)
    assert found is not None
    assert float(found[1]) == pytest.approx(share, rel=0.5)


def test_a_column_of_noise_has_what_it_moves(tmp_path: Path) -> None:
    """Shares are those of the served answers, by onnxruntime, when a column is permuted; noise is far below all others.

    The members' many hidden nodes read the words of noise, and what they make of them nearly cancels.
    """
    random = np.random.default_rng(0)
    words = ["ash", "beech", "fir", "oak", "pine", "yew"]
    tree, (a, b) = random.choice(words, 200), random.uniform(-1, 1, (2, 200))
    y = np.sin(3 * a) + 0.3 * b + random.normal(0, 0.1, 200)
    pd.DataFrame({"tree": tree, "a": a, "b": b, "y": y}).to_csv(tmp_path / "t.csv", index=False)
    recipe = parse_recipe(
        '[model]\nname = "t"\n[data]\npath = "t.csv"\ntarget = "y"\ncolumns = ["tree", "a", "b"]\n'
        f'[data.categories]\ntree = {words}\n[task]\nkind = "regression"\n[network]\nhidden = [16]\n'
        "[fit]\ngrids = [3]\nsteps = 60\nlearning_rate = 0.01\n[ensemble]\nmembers = 4\n[lowering]\ntune_for = []\n"
        "[attribution]\n",
        folder=tmp_path,
        name="t.toml",
    )
    version = published(recipe, tmp_path)
    manifest, dataset = version.manifest, prepare(recipe).without_validation()
    told = {"tree": manifest.columns[0].attribution, **{each.name: each.attribution for each in manifest.features[6:]}}
    model, x = onnx.load(version.folder / "model.onnx"), dataset.x[dataset.train].astype(np.float32)
    answers = run_model(model, x)[:, 0]
    for name, places in {"tree": slice(0, 6), "a": slice(6, 7), "b": slice(7, 8)}.items():
        squares = []
        for _ in range(40):
            mixed = x.copy()
            mixed[:, places] = random.permutation(x)[:, places]
            squares.append(np.square(run_model(model, mixed)[:, 0] - answers).mean())
        assert told[name] == pytest.approx(np.sqrt(np.mean(squares) / 2 / answers.var()), rel=0.05)
    assert told["tree"] < told["b"] / 2
    assert version.notes[-2].endswith(", ".join(f'"{name}" {told[name]:.2g}' for name in ("a", "b", "tree")))


def test_pairs_of_many_columns_are_left_out(tmp_path: Path) -> None:
    """65 columns have two thousand pairs: the run says that it does not look at them."""
    columns = [f"c{place}" for place in range(65)]
    rows = np.random.default_rng(0).normal(size=(60, 66))
    np.savetxt(tmp_path / "wide.csv", rows, delimiter=",", header=",".join([*columns, "y"]), comments="")
    recipe = parse_recipe(
        f'[model]\nname = "wide"\n[data]\npath = "wide.csv"\ntarget = "y"\ncolumns = {columns}\n'
        '[task]\nkind = "regression"\n[network]\nhidden = []\n[fit]\ngrids = [3]\nsteps = 1\n'
        "[lowering]\ntune_for = []\n[attribution]\n",
        folder=tmp_path,
        name="wide.toml",
    )
    assert published(recipe, tmp_path).notes[-1] == "pairs: not looked at, with 65 columns; wanted at most 64"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("[attribution]\ninputs = 0", "[attribution] inputs = 0: wanted at least 1"),
        ("[attribution]\npairs = -1", "[attribution] pairs = -1: wanted at least 0"),
        ("[attribution]\nrows = 5", '[attribution] unknown key "rows"'),
    ],
)
def test_wrong_keys_are_refused(wave: Callable[[str], Recipe], section: str, message: str) -> None:
    """Before anything is read, with what came and what was wanted."""
    with pytest.raises(RecipeError, match=re.escape(message)):
        wave(section)
