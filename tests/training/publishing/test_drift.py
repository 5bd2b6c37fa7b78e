"""What every run writes for the drift metrics: histograms of the answers, and the attribution of each feature."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest

from kan_model.onnx_runtime import run as run_model
from training.data.dataset import prepare
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.recipe.config import Recipe, parse_recipe


def test_a_run_without_attribution_still_scores_features_and_counts_answers(
    wave: Callable[[str], Recipe], tmp_path: Path
) -> None:
    """For 3·sin(a) + b a score is std(part) / std(target), by NumPy; answers are those of onnxruntime; no note more."""
    recipe = wave("")
    version = train(Run(recipe, tmp_path / "models", RunFolder(tmp_path / "run")), Watcher())
    dataset = prepare(recipe)
    x = dataset.x[dataset.train]
    a, b = 3 * np.sin(x[:, 0]), x[:, 1]
    scores = [feature.attribution for feature in version.manifest.features]
    assert scores[:2] == pytest.approx([a.std() / (a + b).std(), b.std() / (a + b).std()], rel=0.03)
    assert scores[2] < 0.03
    assert not any("attribution" in note for note in version.notes)
    answers = run_model(onnx.load(version.folder / "model.onnx"), x.astype(np.float32))[:, 0]
    (found,) = version.manifest.answers
    assert sum(found.counts) == len(x)
    assert (found.edges[0], found.edges[-1]) == pytest.approx((answers.min(), answers.max()), rel=1e-4)
    # Answers in float32 may lie on the other side of an edge, one or two of them.
    counted, _ = np.histogram(answers, np.array(found.edges))
    assert np.abs(counted - np.array(found.counts)).sum() <= 6


def test_a_column_of_words_has_one_score(tmp_path: Path) -> None:
    """For b + c, c by the word, it is std(c) / std(target), by NumPy; its words have scores of their own beside it."""
    generator = np.random.default_rng(0)
    words, b = generator.choice(["north", "south", "west"], 400), generator.uniform(-1, 1, 400)
    c = np.select([words == "north", words == "south"], [2.0, -1.0], 0.5)
    pd.DataFrame({"site": words, "b": b, "y": b + c}).to_csv(tmp_path / "t.csv", index=False)
    recipe = parse_recipe(
        '[model]\nname = "t"\n[data]\npath = "t.csv"\ntarget = "y"\ncolumns = ["site", "b"]\n'
        '[data.categories]\nsite = ["north", "south", "west"]\n[task]\nkind = "regression"\n'
        "[network]\nadditive = true\n[lowering]\ntune_for = []\n[attribution]\n",
        folder=tmp_path,
        name="t.toml",
    )
    version = train(Run(recipe, tmp_path / "models", RunFolder(tmp_path / "run")), Watcher())
    site, other = version.manifest.columns
    assert site.attribution == pytest.approx(c.std() / (b + c).std(), rel=0.1)
    assert not other.HasField("attribution")
    of_words = [each.attribution for each in version.manifest.features if each.column == "site"]
    assert len(of_words) == 3
    assert sum(of_words) > 1.1 * site.attribution
    told = next(note for note in version.notes if note.startswith("attribution: "))
    assert told.startswith(f'attribution: "site" {site.attribution:.2g}, "b" ')
