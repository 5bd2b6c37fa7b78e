"""A published version is lowered again from itself alone."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model.onnx_runtime import run as run_model
from training.config import load_recipe
from training.data import prepare
from training.fit import FitState
from training.pipeline import Run, train
from training.publish import Published
from training.run_folder import RunFolder
from training.tune import TuneError, tune


class Quiet:
    """Watches nothing."""

    def prepared(self, dataset: object) -> None:
        pass

    def stepped(self, state: FitState) -> None:
        pass


@pytest.fixture
def published(write_recipe: Callable[..., Path], tmp_path: Path) -> Published:
    """A version that was never tuned; neither table nor run are left."""
    path = write_recipe()
    result = train(Run(load_recipe(path), tmp_path / "models", RunFolder(tmp_path / "run")), Quiet())
    shutil.rmtree(tmp_path / "run")
    return result


def test_the_next_version_is_the_same_network_timed_here(published: Published, tmp_path: Path) -> None:
    """Same answers within twice the tolerance, same metrics and features; times for each strategy and row count."""
    rows = prepare(load_recipe(tmp_path / "flowers.toml")).x.astype(np.float32)
    (tmp_path / "flowers.csv").unlink()
    tuned = tune(published.folder, (1, 16))
    assert tuned.folder == published.folder.with_name("2")
    before, after = published.manifest, tuned.manifest
    assert (after.metrics, after.features, after.recipe) == (before.metrics, before.features, before.recipe)
    assert list(after.lowering.tuned_for) == [1, 16]
    assert after.preferred_rows >= 16
    assert after.lowering.max_relative_error <= after.lowering.tolerance == before.lowering.tolerance
    for layer in after.lowering.layers:
        fit = [each for each in layer.candidates if each.max_relative_error <= after.lowering.tolerance]
        assert len(fit) >= 3
        assert all([timing.rows for timing in each.timings] == [1, 16] for each in fit)
        assert all(timing.seconds > 0 for each in fit for timing in each.timings)
        assert layer.strategy in {each.strategy for each in fit}
    first, second = (run_model(onnx.load(folder / "model.onnx"), rows) for folder in (published.folder, tuned.folder))
    assert np.abs(first - second).max() <= 2 * after.lowering.tolerance * after.lowering.output_scale[0]


def test_tuning_again_works_on_what_tuning_made(published: Published) -> None:
    """Version 2 holds all that version 1 held."""
    assert tune(tune(published.folder, (1,)).folder, (1,)).manifest.version == 3


def test_an_older_version_is_not_brought_back(published: Published) -> None:
    """Its network may be another; the message names the newest."""
    tune(published.folder, (1,))
    with pytest.raises(TuneError, match=r"version 2 is newer; tune that one: .*/2"):
        tune(published.folder, (1,))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "no model version"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "no model version"),
        (lambda folder: (folder / "network.safetensors").unlink(), "cannot read it"),
        (lambda folder: (folder / "network.safetensors").write_bytes(b"x"), "sha256 is not the one"),
        (lambda folder: folder.rename(folder.with_name("7")), "manifest.json is of version 1"),
    ],
)
def test_a_damaged_version_is_refused(published: Published, damage: Callable[[Path], object], message: str) -> None:
    """Nothing is published, and the message says what is wrong."""
    damage(published.folder)
    folder = published.folder if published.folder.exists() else published.folder.with_name("7")
    with pytest.raises(TuneError, match=message):
        tune(folder)
    assert [path.name for path in folder.parent.iterdir() if path.name.isdecimal()] == [folder.name]


def test_a_version_from_before_networks_were_kept_is_refused(published: Published) -> None:
    """The message says which library wrote it and what to do."""
    path = published.folder / "manifest.json"
    text = path.read_text().replace("network.safetensors", "other.safetensors")
    path.write_text(text)
    with pytest.raises(TuneError, match=r"holds no network.safetensors \(kan-serving .* wrote it\); train it anew"):
        tune(published.folder)
    assert isinstance(published.manifest, ModelManifest)
