"""A published version is lowered again from itself alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf import json_format

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model.onnx_runtime import run as run_model
from training.data.dataset import prepare
from training.errors import TrainingError
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.tune import tune
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published, PublishError, publish
from training.publishing.version import VersionError
from training.recipe.config import load_recipe


@pytest.fixture
def published(flowers: Published, tmp_path: Path) -> Published:
    """A version that was never tuned, whose run is not left."""
    shutil.rmtree(tmp_path / "run")
    return flowers


def test_the_next_version_is_the_same_network_timed_here(published: Published, tmp_path: Path) -> None:
    """Same answers within twice the tolerance, same metrics and features; times for each strategy and row count."""
    rows = prepare(load_recipe(tmp_path / "flowers.toml")).x.astype(np.float32)
    (tmp_path / "flowers.csv").unlink()
    told: list[str] = []
    tuned = tune(published.folder, (1, 16), told.append)
    assert tuned.folder == published.folder.with_name("2")
    forms = {each.strategy for layer in tuned.manifest.lowering.layers for each in layer.candidates}
    assert told == [
        f"timing {len(forms)} forms of {len(tuned.manifest.lowering.layers)} layers, for 1, 16 rows at once"
    ]
    before, after = published.manifest, tuned.manifest
    assert (after.metrics, after.features, after.recipe) == (before.metrics, before.features, before.recipe)
    assert after.answers == before.answers
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


def test_the_policy_on_unknown_ground_stays(published: Published) -> None:
    """It is the model's, not the machine's."""
    path = published.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"unknown_ground": "refuse"}))
    assert tune(published.folder, (1,)).manifest.unknown_ground == "refuse"


def test_an_older_version_gets_contributions(published: Published) -> None:
    """A version without attribution.onnx is tuned: its reference row comes from the histograms; the next keeps it."""
    old = ModelManifest()
    old.CopyFrom(published.manifest)
    old.ClearField("attribution_graph")
    kept = {
        file.name: (published.folder / file.name).read_bytes() for file in old.files if "attribution" not in file.name
    }
    before = publish(published.folder.parent.parent, old, lambda _: kept, after=1)
    tuned = tune(before.folder, (1,)).manifest.attribution_graph
    assert tuned.from_histograms
    assert list(tuned.columns) == ["length", "fixed", "color", "width"]
    assert tuned.reference == pytest.approx(list(published.manifest.attribution_graph.reference), abs=0.2)
    assert tune(before.folder.with_name("3"), (1,)).manifest.attribution_graph.reference == tuned.reference


def test_tuning_again_works_on_what_tuning_made(published: Published) -> None:
    """Version 2 holds all that version 1 held."""
    assert tune(tune(published.folder, (1,)).folder, (1,)).manifest.version == 3


def test_an_older_version_is_not_brought_back(published: Published) -> None:
    """Its network may be another; the message names the newest."""
    tune(published.folder, (1,))
    with pytest.raises(VersionError, match=r"newer; .*/2"):
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
    with pytest.raises(VersionError, match=message):
        tune(folder)
    assert [path.name for path in folder.parent.iterdir() if path.name.isdecimal()] == [folder.name]


def test_a_folder_that_no_version_can_have_is_refused(published: Published) -> None:
    """Also where its manifest names the same number: kan-serve would never look at it."""
    path = published.folder / "manifest.json"
    path.write_text(path.read_text().replace('"version": "1"', f'"version": "{2**62}"'))
    folder = published.folder.rename(published.folder.with_name(str(2**62)))
    with pytest.raises(VersionError, match="no model version"):
        tune(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.lowering.ClearField("output_scale"), r"output_scale \[\]"),
        (lambda manifest: manifest.lowering.output_scale.append(1), "1 numbers above 0"),
        (lambda manifest: manifest.lowering.output_scale.__setitem__(0, 0), "1 numbers above 0"),
        (lambda manifest: manifest.features.pop(), "has 4 features"),
        (lambda manifest: manifest.lowering.tuned_for.append(10**12), "rows from 1 to 65536"),
        (lambda manifest: setattr(manifest.lowering, "precision", "int4"), "precision 'int4'"),
        (lambda manifest: setattr(manifest.lowering, "tolerance", 0.0), "wanted a tolerance above 0"),
        (lambda manifest: setattr(manifest.lowering, "tolerance", 1e-12), "within the tolerance"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    published: Published, change: Callable[[ModelManifest], object], message: str
) -> None:
    """One line that says what came and what was wanted; nothing is published."""
    path = published.folder / "manifest.json"
    manifest = json_format.Parse(path.read_bytes(), ModelManifest())
    change(manifest)
    path.write_text(json_format.MessageToJson(manifest, preserving_proto_field_name=True))
    with pytest.raises(TrainingError, match=message) as caught:
        tune(published.folder)
    assert "\n" not in str(caught.value)
    assert "--resume" not in str(caught.value)
    assert not published.folder.with_name("2").exists()


def test_a_version_that_comes_meanwhile_is_not_put_aside(published: Published, tmp_path: Path) -> None:
    """Tuning version 1 is refused if version 2 was published meanwhile: it would bring version 1's network back."""
    run = Run(load_recipe(tmp_path / "flowers.toml"), tmp_path / "models", RunFolder(tmp_path / "run"))
    train(run, Watcher())
    with pytest.raises(PublishError, match=r"version 2 .*meanwhile"):
        publish(tmp_path / "models", published.manifest, lambda _: {"model.onnx": b""}, after=1)
    assert not published.folder.with_name("3").exists()


@pytest.mark.slow
def test_metrics_of_a_coarse_format_become_those_of_the_network(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """Without the table nobody knows what another strategy costs."""
    path = write_recipe()
    path.write_text(path.read_text() + 'precision = "float16"\n[verify]\ntolerance = 0.1\n')
    before = train(Run(load_recipe(path), tmp_path / "models", RunFolder(tmp_path / "run")), Watcher())
    after = tune(before.folder, (1,)).manifest
    losses = before.manifest.lowering.precision_loss
    assert losses
    assert not after.lowering.precision_loss
    assert after.metrics["test_rmse"] == before.manifest.metrics["test_rmse"] + losses["test_rmse"]


def test_a_version_from_before_networks_were_kept_is_refused(published: Published) -> None:
    """The message says which library wrote it and what to do."""
    path = published.folder / "manifest.json"
    text = path.read_text().replace("network.safetensors", "other.safetensors")
    path.write_text(text)
    with pytest.raises(VersionError, match=r"no network\.safetensors"):
        tune(published.folder)
    assert isinstance(published.manifest, ModelManifest)
