"""A published version is trained further on new rows, and the result is the next version."""

import hashlib
import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from kan_api.ground import KnownGround
from kan_model.network import checkpoint
from kan_model.onnx_runtime import run as run_model
from tests.kit.watcher import Quiet
from training.cli import main
from training.data.dataset import Dataset, prepare
from training.errors import Interrupted, RecipeError, TrainingError
from training.fitting.continual import touched_coefficients
from training.fitting.fit import begin
from training.fitting.record import Record
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder, RunIdentity
from training.pipelines.train import train
from training.publishing.publish import Published
from training.publishing.repository import read_manifest
from training.recipe.config import load_recipe

RECIPE = """
[model]
name = "flowers"
{model}
[data]
path = "{path}"
target = "{target}"
columns = {columns}
missing = "median"
[data.categories]
color = {words}
[task]
kind = "{kind}"
{sections}
[lowering]
tune_for = []
"""
FIRST = "[network]\nhidden = [3]\n[fit]\ngrids = [8]\nsteps = 30"
ON = '[fit]\noptimizer = "lbfgs"\nsteps = 20\nold_table = "flowers.csv"'
# Of classes that are easily told apart LBFGS makes logits so steep that float32 does not follow.
GENTLY = "[fit]\nsteps = 30"


def table(seed: int, low: float, high: float, rows: int = 200) -> pd.DataFrame:
    """Flowers between two lengths."""
    random = np.random.default_rng(seed)
    length, color = random.uniform(low, high, rows), random.choice(["red", "blue"], rows)
    flowers = pd.DataFrame({"length": length, "fixed": 4.0, "color": color, "width": random.normal(20, 3, rows)})
    flowers["width"] = flowers["width"].clip(12, 28)
    flowers["weight"] = np.sin(length) * 10 + (color == "red") * 5 + flowers["width"]
    flowers["kind"] = np.select([flowers["weight"] > 27, flowers["weight"] > 18], ["big", "middle"], "small")
    flowers.loc[::10, "width"] = np.nan
    return flowers


def recipe(folder: Path, name: str = "on", **changes: str) -> Path:
    """Write a recipe."""
    keys = {
        "model": 'continue_from = "models/flowers/1"',
        "path": "new.csv",
        "target": "weight",
        "columns": '["length", "fixed", "color", "width"]',
        "words": '["red", "blue"]',
        "kind": "regression",
        "sections": ON,
    }
    path = folder / f"{name}.toml"
    path.write_text(RECIPE.format(**(keys | changes)))
    return path


def run(path: Path, watcher: Quiet | None = None) -> Published:
    """Train from a recipe beside its repository."""
    return train(Run(load_recipe(path), path.parent / "models", RunFolder(path.parent / "run")), watcher or Quiet())


def answers(folder: Path, rows: np.ndarray) -> np.ndarray:
    """Of the served graph, by onnxruntime."""
    return run_model(onnx.load(folder / "model.onnx"), rows.astype(np.float32))


def _trained(folder: Path, **changes: str) -> Path:
    table(0, 1, 9).to_csv(folder / "flowers.csv", index=False)
    new = table(1, 2, 3, 100)
    new["weight"] += 4
    new.to_csv(folder / "new.csv", index=False)
    run(recipe(folder, "first", model="", path="flowers.csv", **({"sections": FIRST} | changes)))
    return folder


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a first version for weights."""
    return _trained(tmp_path_factory.mktemp("numbers"))


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a first version for kinds."""
    return _trained(tmp_path_factory.mktemp("kinds"), target="kind", kind="classification")


@pytest.fixture
def folder(numbers: Path, tmp_path: Path) -> Path:
    """A copy of the first to change."""
    return shutil.copytree(numbers, tmp_path / "copy")


@pytest.fixture(scope="module")
def second(numbers: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The version after the first, beside it."""
    return run(recipe(shutil.copytree(numbers, tmp_path_factory.mktemp("second") / "copy")))


@pytest.fixture
def kind_folder(kinds: Path, tmp_path: Path) -> Path:
    """A copy of the second to change."""
    return shutil.copytree(kinds, tmp_path / "copy")


@pytest.mark.slow
def test_only_what_the_new_rows_touch_moves(second: Published) -> None:
    """All other numbers, scaling too, are equal to the bit; the new rows are answered better, the next number taken."""
    folder = second.folder.parents[2]
    assert second.folder == folder / "models" / "flowers" / "2"
    before, after = (load_file(folder / "models" / "flowers" / v / "network.safetensors") for v in ("1", "2"))
    assert before.keys() == after.keys()
    content = (folder / "models" / "flowers" / "1" / "network.safetensors").read_bytes()
    kan, (inputs, _) = checkpoint.from_bytes(content), checkpoint.transforms(content)
    dataset = prepare(load_recipe(folder / "on.toml"))
    assert inputs is not None
    free = touched_coefficients(kan, inputs(torch.from_numpy(dataset.x[dataset.train])).float())
    assert 0 < sum(int(mask.sum()) for mask in free) < sum(mask.numel() for mask in free)
    moved = 0
    for name, old in before.items():
        same = old.view(torch.int32) == after[name].view(torch.int32)
        if name.endswith(".coefficients"):
            may_move = free[int(name.split(".")[1])]
            assert bool((same | may_move).all()), name
            moved += int((~same).sum())
        else:
            assert bool(same.all()), name
    assert moved > 0
    truth = dataset.y[dataset.test]
    errors = [
        np.abs(answers(folder / "models" / "flowers" / v, dataset.x[dataset.test]) - truth).mean() for v in ("1", "2")
    ]
    assert errors[1] < errors[0] / 2


def test_old_rows_move_by_the_drift_that_is_told(second: Published) -> None:
    """By onnxruntime, on the table of the first training; manifest and notes say the same."""
    folder = second.folder.parents[2]
    rows = prepare(load_recipe(folder / "first.toml")).x
    before, after = (answers(folder / "models" / "flowers" / version, rows) for version in ("1", "2"))
    drift = second.manifest.metrics["drift_largest"]
    assert np.abs(after - before).max() / np.ptp(before) == pytest.approx(drift, rel=1e-3)
    rms = np.sqrt(((after - before) ** 2).mean()) / np.ptp(before)
    assert rms == pytest.approx(second.manifest.metrics["drift_rms"], rel=1e-3)
    assert any(f"moved by {drift:.2g} of their range" in note for note in second.notes)


def test_the_manifest_keeps_what_stays(second: Published) -> None:
    """Domain, imputed values and scale of errors are the version's; histograms count both tables."""
    before, after = read_manifest(second.folder.with_name("1")), second.manifest
    assert before is not None
    assert after.lowering.output_scale == before.lowering.output_scale
    for old, new in zip(before.features, after.features, strict=True):
        assert (old.low, old.high, old.imputed, old.constant) == (new.low, new.high, new.imputed, new.constant)
    counted = [sum(manifest.features[0].histogram.counts) for manifest in (before, after)]
    assert counted[1] == counted[0] + after.data.train_rows
    known = KnownGround.of(after)
    assert known is not None
    dataset = prepare(load_recipe(second.folder.parents[2] / "on.toml"))
    assert not known.unknown(dataset.x[dataset.train].astype(np.float32)).any()
    page = (second.folder / "report.html").read_text()
    assert after.continued_from == 1
    assert before.continued_from == 0
    assert "Version 1, trained on new rows" in page
    assert "continued version 1" in page
    assert "of their range at most" in page
    assert "<td>largest</td>" not in page


@pytest.mark.parametrize(
    ("before", "given", "kept"),
    [("refuse", "", "refuse"), ("refuse", "flag", "flag"), ("", "", ""), ("", "flag", "flag")],
)
def test_the_policy_on_unknown_ground_stays_unless_the_recipe_has_one(
    folder: Path, before: str, given: str, kept: str
) -> None:
    """A nightly job whose recipe says nothing of it changes nothing."""
    path = folder / "models" / "flowers" / "1" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"unknown_ground": before}))
    model = 'continue_from = "models/flowers/1"' + (f'\nunknown_ground = "{given}"' if given else "")
    assert run(recipe(folder, model=model)).manifest.unknown_ground == kept


def test_the_new_rows_are_judged_before_and_after(second: Published) -> None:
    """Version 1 by onnxruntime on the rows that version 2 held out; summary, manifest and report tell it."""
    folder = second.folder.parents[2]
    dataset = prepare(load_recipe(folder / "on.toml"))
    errors = answers(folder / "models" / "flowers" / "1", dataset.x[dataset.test]) - dataset.y[dataset.test]
    before = float(np.sqrt((errors**2).mean()))
    metrics = second.manifest.metrics
    assert metrics["before_test_rmse"] == pytest.approx(before, rel=1e-4)
    assert metrics["test_rmse"] < metrics["before_test_rmse"]
    assert any(f"RMSE {before:.4g} -> {metrics['test_rmse']:.4g}" in note for note in second.notes)
    assert "test rows, the version before" in (second.folder / "report.html").read_text()


def test_where_no_step_is_better_the_next_version_says_so(folder: Path) -> None:
    """A nightly job goes on: rc 0, the network of before, histograms that count the new rows."""
    published = run(recipe(folder, sections='[fit]\noptimizer = "adam"\nlearning_rate = 1e6\nsteps = 1'))
    assert any(
        "it answers as version 1, and differs from it in the histograms alone" in note for note in published.notes
    )
    rows = prepare(load_recipe(folder / "first.toml")).x
    first, later = (answers(folder / "models" / "flowers" / version, rows) for version in ("1", "2"))
    np.testing.assert_array_equal(first, later)
    manifest = read_manifest(folder / "models" / "flowers" / "1")
    assert manifest is not None
    assert published.manifest.features[0].histogram != manifest.features[0].histogram


@pytest.mark.slow
def test_formulas_alone_cannot_learn_on(tmp_path: Path) -> None:
    """Not the rows are at fault: there is no coefficient."""
    symbolic = FIRST.replace("[3]", "[]") + '\n[symbolic]\nfunctions = ["x", "x^2", "sin"]\nmin_r2 = 0.01'
    folder = _trained(tmp_path, sections=symbolic)
    with pytest.raises(TrainingError, match=r"flowers/1: .*formulas only"):
        run(recipe(folder))


@pytest.mark.slow
def test_version_after_version(second: Published, tmp_path: Path) -> None:
    """Version 4 stems from 3, 3 from 2, 2 from 1; it is served."""
    folder = shutil.copytree(second.folder.parents[2], tmp_path / "copy")
    for version in (2, 3):
        published = run(recipe(folder, model=f'continue_from = "models/flowers/{version}"'))
    assert (published.manifest.version, published.manifest.continued_from) == (4, 3)
    rows = prepare(load_recipe(folder / "first.toml")).x
    assert np.isfinite(answers(published.folder, rows)).all()


def test_the_same_recipe_gives_the_same_network(second: Published, folder: Path) -> None:
    """To the bit."""
    again = run(recipe(folder))
    assert (again.folder / "network.safetensors").read_bytes() == (second.folder / "network.safetensors").read_bytes()


@pytest.mark.slow
def test_protected_rows_are_answered_as_before(tmp_path: Path) -> None:
    """A network of one layer, old rows from elsewhere: their answers stay to the bit."""
    folder = _trained(tmp_path, sections=FIRST.replace("[3]", "[]"))
    far = table(0, 6, 9)
    far.to_csv(folder / "far.csv", index=False)
    published = run(recipe(folder, sections=ON.replace("flowers.csv", "far.csv") + "\nprotect_old = true"))
    assert published.manifest.metrics["drift_largest"] == 0
    rows = prepare(load_recipe(recipe(folder, "far", model="", path="far.csv", sections=FIRST))).x
    before, after = (answers(folder / "models" / "flowers" / version, rows) for version in ("1", "2"))
    np.testing.assert_allclose(after, before, rtol=0, atol=2e-5 * np.ptp(before))
    assert (folder / "models/flowers/1/network.safetensors").read_bytes() != (
        published.folder / "network.safetensors"
    ).read_bytes()


@pytest.mark.slow
def test_classes_that_do_not_come_keep_their_places(kind_folder: Path) -> None:
    """Rows of one class only: it is learned under its old number."""
    rows = table(1, 1, 9, 300)
    rows[rows["kind"] == "small"].to_csv(kind_folder / "new.csv", index=False)
    watcher = Quiet()
    published = run(recipe(kind_folder, target="kind", kind="classification", sections=GENTLY), watcher)
    assert list(published.manifest.classes) == ["big", "middle", "small"]
    assert any("2 of 3 classes" in warning for warning in watcher.warnings)
    held_out = pd.read_csv(kind_folder / "run" / "held_out.csv")
    x = np.column_stack(
        [
            held_out["length"],
            held_out["fixed"],
            held_out["color"] == "red",
            held_out["color"] == "blue",
            held_out["width"],
        ]
    )
    found = np.array(["big", "middle", "small"])[answers(published.folder, x).argmax(axis=1)]
    assert (found == held_out["kind"]).mean() > 0.8
    assert published.manifest.metrics["test_accuracy"] == pytest.approx((found == held_out["kind"]).mean())


@pytest.mark.slow
def test_a_stratified_split_goes_without_a_class(kind_folder: Path) -> None:
    """Each part has each class that comes."""
    rows = table(1, 1, 9, 300)
    rows[rows["kind"] != "middle"].to_csv(kind_folder / "new.csv", index=False)
    sections = '[split]\nkind = "stratified"\n' + GENTLY
    published = run(recipe(kind_folder, target="kind", kind="classification", sections=sections))
    held_out = pd.read_csv(kind_folder / "run" / "held_out.csv")
    assert set(held_out["kind"]) == {"big", "small"}
    assert published.manifest.version == 2


def test_an_unknown_class_is_refused(kind_folder: Path) -> None:
    """The network has no output for it."""
    rows = table(1, 1, 9, 300)
    rows.loc[7, "kind"] = "huge"
    rows.to_csv(kind_folder / "new.csv", index=False)
    with pytest.raises(TrainingError, match=r'"huge" .*"middle"'):
        run(recipe(kind_folder, target="kind", kind="classification"))
    assert not (kind_folder / "models" / "flowers" / "2").exists()


def test_rows_beyond_the_domain_are_counted(folder: Path) -> None:
    """And an input that had one value, and now has others, is told to stay out."""
    new = table(1, 8, 10, 100)
    new["fixed"] = np.arange(100.0)
    new.to_csv(folder / "new.csv", index=False)
    watcher = Quiet()
    published = run(recipe(folder), watcher)
    dataset = prepare(load_recipe(folder / "on.toml"))
    first = read_manifest(folder / "models" / "flowers" / "1")
    assert first is not None
    x = dataset.x[dataset.train]
    low, high = first.features[0].low, first.features[0].high
    width = first.features[4]
    filled = np.where(np.isnan(x[:, 4]), width.imputed, x[:, 4])
    outside = ((x[:, 0] < low) | (x[:, 0] > high) | (filled < width.low) | (filled > width.high)).sum()
    assert outside > 20
    assert any(f"{outside} of {len(x)} new rows lie outside" in note for note in published.notes)
    assert any("weight zero" in each and '"fixed"' in each for each in watcher.warnings)
    assert sum(published.manifest.features[0].histogram.counts) == first.data.train_rows + len(x)


def _tamper(folder: Path) -> None:
    with (folder / "network.safetensors").open("ab") as file:
        file.write(b"x")


def _forget_network(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace("network.safetensors", "other.safetensors"))


def _no_imputing(folder: Path) -> None:
    """As if version 1 had been trained with missing = "refuse"."""
    content = (folder / "network.safetensors").read_bytes()
    inputs, outputs = checkpoint.transforms(content)
    assert inputs is not None
    bare = checkpoint.to_bytes(checkpoint.from_bytes(content), type(inputs)(inputs.center, inputs.scale), outputs)
    (folder / "network.safetensors").write_bytes(bare)
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in manifest["files"]:
        if file["name"] == "network.safetensors":
            file["sha256"] = hashlib.sha256(bare).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("changes", "damage", "message"),
    [
        ({"model": 'continue_from = "models/flowers/9"'}, None, "no model version"),
        ({"model": 'continue_from = "models/flowers"'}, None, "no model version"),
        ({}, _tamper, "sha256 is not the one"),
        ({}, lambda folder: (folder / "network.safetensors").unlink(), "cannot read it"),
        ({}, _forget_network, r"no network\.safetensors"),
        ({}, lambda folder: shutil.copytree(folder, folder.with_name("2")), "version 2 is newer"),
        ({}, _no_imputing, '"width": 10 cells'),
        ({"target": "kind", "kind": "classification"}, None, "was trained for regression"),
        ({"target": "fixed", "columns": '["length", "color", "width"]'}, None, 'predicts "weight".*has "fixed"'),
        ({"columns": '["length", "color", "fixed", "width"]'}, None, '"fixed" with numbers'),
        ({"columns": '["length", "fixed", "color"]'}, None, 'takes "width" .*column 4.*has nothing'),
        ({"words": '["blue", "red"]'}, None, 'takes "color" .*"red", "blue"'),
        ({"path": "none.csv"}, None, "there is no such file"),
        ({"sections": ON.replace("flowers.csv", "none.csv")}, None, "none.csv: .*no such file"),
        ({"sections": ON + "\nprotect_old = true"}, None, "old rows touch every"),
        ({"sections": ON + "\n[verify]\ntolerance = 1.5e-7"}, None, "change .verify. tolerance"),
    ],
)
def test_what_does_not_fit_is_refused(
    folder: Path, changes: dict[str, str], damage: Callable[[Path], object] | None, message: str
) -> None:
    """One line, and nothing is published."""
    if damage is not None:
        damage(folder / "models" / "flowers" / "1")
    versions = sorted(path.name for path in (folder / "models" / "flowers").iterdir())
    with pytest.raises(TrainingError, match=message) as caught:
        run(recipe(folder, **changes))
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in (folder / "models" / "flowers").iterdir()) == versions


def test_another_name_or_repository_is_refused(folder: Path) -> None:
    """What learns on is the same model."""
    path = recipe(folder)
    with pytest.raises(TrainingError, match="other is published to"):
        train(Run(load_recipe(path), folder / "other", RunFolder(folder / "run")), Quiet())
    path.write_text(path.read_text().replace('name = "flowers"', 'name = "trees"'))
    with pytest.raises(TrainingError, match=r"flowers, .* trees"):
        run(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sections": "[fit]\ngrids = [5]"}, r"\[fit\] grids: .*continue_from"),
        ({"sections": "[network]\nhidden = [3]"}, r"\[network\]: .*continue_from"),
        ({"sections": '[inputs]\nscaling = "none"'}, r"\[inputs\]: .*continue_from"),
        ({"sections": "[prune]\n[sparsify]"}, r"\[prune\], \[sparsify\]: .*continue_from"),
        ({"sections": "[fit]\nweight_decay = 0.1"}, r"\[fit\] weight_decay: wanted 0"),
        ({"sections": "[fit]\nprotect_old = true"}, r"\[fit\]: protect_old needs old_table"),
        ({"model": "", "sections": '[fit]\nold_table = "a.csv"'}, "old_table: only with .*continue_from"),
    ],
)
def test_keys_that_do_not_fit_together(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    """Refused before anything is read."""
    with pytest.raises(RecipeError, match=message):
        load_recipe(recipe(tmp_path, **changes))


def test_each_look_is_told_as_it_comes(folder: Path) -> None:
    """From before the first step to the last one, on the version's grid; the end once."""
    watcher = Quiet()
    run(recipe(folder), watcher)
    records, ends = zip(*watcher.evaluations, strict=True)
    # LBFGS looks every ten steps.
    assert [record.step for record in records] == [0, 10, 20, 20]
    assert {record.grid_size for record in records} == {8}
    assert ends == (False, False, False, True)
    assert records[-1].validation_loss < records[0].validation_loss


@pytest.mark.usefixtures("foreground")
def test_a_fit_can_be_stopped_between_looks(folder: Path) -> None:
    """As before it: nothing is published."""

    class Interrupting(Quiet):
        def on_evaluation(self, record: Record, *, ended: bool) -> None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="nothing was published"):
        run(recipe(folder), Interrupting())
    assert not (folder / "models" / "flowers" / "2").exists()


@pytest.mark.usefixtures("foreground")
def test_ctrl_c_publishes_nothing_and_says_so(folder: Path) -> None:
    """There is no state to go on with."""

    class Interrupting(Quiet):
        def on_prepared(self, dataset: Dataset) -> None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="nothing was published"):
        run(recipe(folder), Interrupting())
    assert not (folder / "models" / "flowers" / "2").exists()


@pytest.mark.slow
def test_unfinished_runs_are_not_lost(folder: Path) -> None:
    """--resume is for them; a continuation drops them only when told."""
    loaded, kept = load_recipe(recipe(folder)), RunFolder(folder / "run")
    with pytest.raises(TrainingError, match="keeps no state"):
        train(Run(loaded, folder / "models", kept, resume=True), Quiet())
    network = checkpoint.load(folder / "models" / "flowers" / "1" / "network.safetensors")
    kept.save_state(begin(network, loaded.fit.model_copy(update={"grids": (8,)})), RunIdentity("of another recipe", ""))
    with pytest.raises(TrainingError, match="holds an unfinished run"):
        train(Run(loaded, folder / "models", kept), Quiet())
    assert kept.has_state()
    assert train(Run(loaded, folder / "models", kept, fresh=True), Quiet()).manifest.version == 2
    assert not kept.has_state()


@pytest.mark.slow
def test_the_command_tells_what_came_of_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Version, coefficients that could move, drift."""
    arguments = ["run", str(recipe(folder)), "--models", str(folder / "models"), "--runs", str(folder / "runs")]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    told = printed.out
    assert re.search(r"^grid 8  loss .* after 20 steps$", printed.err, re.MULTILINE)
    assert f"published {folder}/models/flowers/2" in told
    assert "continued version 1; " in told
    assert "old rows  200: " in told
