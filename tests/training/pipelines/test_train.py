"""From a table to a version with a complete manifest, whose graph answers as torch does."""

import io
import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch

from kan_model import KAN
from kan_model.network import checkpoint
from kan_model.network.transform import Affine
from kan_model.onnx_runtime import open_session
from kan_model.onnx_runtime import run as run_model
from tests.kit.watcher import Quiet
from training.data.dataset import Dataset, prepare
from training.data.preparation import input_transform, new_network, output_transform
from training.errors import Interrupted, TrainingError
from training.fitting.fit import FitState, begin
from training.pipelines.held_out import held_out_csv
from training.pipelines.run import Run
from training.pipelines.run_folder import RunError, RunFolder, identity_of
from training.pipelines.train import train
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.publishing.publish import Published
from training.publishing.repository import published_versions
from training.recipe.config import load_recipe


def _by_torch(dataset: Dataset, kan: KAN) -> np.ndarray:
    trained = Trained(kan, input_transform(dataset, "minmax"), output_transform(dataset))
    return predict(trained, dataset.x[dataset.test])


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_a_table_becomes_a_version_that_answers_as_torch(
    write_recipe: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    """The published graph, fed raw rows with missing values, gives the trained network's predictions."""
    target = "weight" if kind == "regression" else "kind"
    recipe = load_recipe(write_recipe(kind=kind, target=target))
    run = Run(recipe, tmp_path / "models", RunFolder(tmp_path / "run"))
    published = train(run, Quiet())
    dataset = prepare(recipe)
    model = onnx.load(published.folder / "model.onnx")
    kan = checkpoint.load(run.folder.path / "kan.safetensors")
    expected = _by_torch(dataset, kan)
    got = run_model(model, dataset.x[dataset.test].astype(np.float32))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)

    manifest = published.manifest
    assert [feature.name for feature in manifest.features] == ["length", "fixed", "color=red", "color=blue", "width"]
    assert [column.name for column in manifest.columns] == ["length", "fixed", "color", "width"]
    assert list(manifest.columns[2].categories) == ["red", "blue"]
    assert [feature.constant for feature in manifest.features] == [False, True, False, False, False]
    assert manifest.features[4].imputed == pytest.approx(np.nanmedian(dataset.x[dataset.train, 4]))
    assert sum(manifest.features[0].histogram.counts) == len(dataset.train)
    assert list(manifest.classes) == ([] if kind == "regression" else ["big", "small"])
    assert 0 < manifest.lowering.max_relative_error <= manifest.lowering.tolerance
    assert [layer.strategy for layer in manifest.lowering.layers] == list(manifest.lowering.strategies)
    assert list(manifest.lowering.output_scale)
    assert (manifest.preferred_rows, list(manifest.lowering.tuned_for)) == (0, [])
    assert manifest.recipe == recipe.text
    assert ("test_rmse" if kind == "regression" else "test_accuracy") in manifest.metrics


@pytest.mark.slow
def test_the_graphs_say_what_they_are(flowers: Published, tmp_path: Path) -> None:
    """Both carry name, version, degree, grid and library version; the manifest lists all files."""
    run = Run(load_recipe(tmp_path / "flowers.toml"), tmp_path / "models", RunFolder(tmp_path / "run"))
    for version, published in (("1", flowers), ("2", train(run, Quiet()))):
        for name in ("model.onnx", "explain.onnx", "attribution.onnx"):
            props = {prop.key: prop.value for prop in onnx.load(published.folder / name).metadata_props}
            assert props == {
                "model": "flowers",
                "version": version,
                "degree": "3,3",
                "grid_size": "3,3",
                "library_version": published.manifest.library_version,
            }
    names = ["model.onnx", "explain.onnx", "attribution.onnx", "network.safetensors", "report.html"]
    assert [file.name for file in published.manifest.files] == names


def test_the_explaining_graph_is_what_the_manifest_says(flowers: Published, tmp_path: Path) -> None:
    """The same answers as model.onnx, and edges of the shapes in the manifest that sum to them."""
    dataset = prepare(load_recipe(tmp_path / "flowers.toml"))
    rows = dataset.x[dataset.test].astype(np.float32)
    answers, *edges = open_session(onnx.load(flowers.folder / "explain.onnx")).run(rows)
    np.testing.assert_allclose(answers, run_model(onnx.load(flowers.folder / "model.onnx"), rows), rtol=1e-4, atol=1e-4)
    explanation = flowers.manifest.explanation
    assert [list(each.shape[1:]) for each in edges] == [list(spec.shape[1:]) for spec in explanation.edges]
    outputs = output_transform(dataset)
    assert isinstance(outputs, Affine)
    np.testing.assert_allclose(edges[-1].sum(axis=2) * outputs.scale + outputs.center, answers, rtol=1e-4, atol=1e-4)
    assert explanation.max_rows * sum(each[0].nbytes for each in edges) <= 64 * 1024**2


def test_contributions_add_up_to_what_model_onnx_answers(flowers: Published, tmp_path: Path) -> None:
    """Over the test rows, against the reference row of the manifest."""
    rows = prepare(load_recipe(tmp_path / "flowers.toml"))
    x = rows.x[rows.test].astype(np.float32)
    own = flowers.manifest.attribution_graph
    assert list(own.columns) == [column.name for column in flowers.manifest.columns]
    assert not own.explains_scores
    feed = {"features": x, "reference": np.array([own.reference], dtype=np.float32)}
    session = open_session(onnx.load(flowers.folder / "attribution.onnx"))
    parts, explained, baseline = session.run_named(("contributions", "explained", "baseline"), feed)
    assert parts.shape == (len(x), 1, len(own.columns))
    answers, at_reference = (run_model(onnx.load(flowers.folder / "model.onnx"), each) for each in feed.values())
    np.testing.assert_allclose(explained, answers, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(baseline, at_reference, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(parts.sum(axis=2), answers - at_reference, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_coarser_number_format_is_stated_with_what_it_costs(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """int8 within the tolerance that the recipe states: the metrics are those of what is served."""
    path = write_recipe(kind="classification", target="kind")
    path.write_text(path.read_text() + 'precision = "int8"\n')
    run = Run(load_recipe(path), tmp_path / "models", RunFolder(tmp_path / "run"))
    with pytest.raises(TrainingError, match="off by"):
        train(run, Quiet())
    assert not (tmp_path / "models").exists()
    path.write_text(path.read_text() + "[verify]\ntolerance = 0.2\n")
    recipe = load_recipe(path)
    manifest = train(replace(run, recipe=recipe, resume=True), Quiet()).manifest
    assert manifest.lowering.precision == "int8"
    assert 1e-5 < manifest.lowering.max_relative_error < 0.2
    dataset = prepare(recipe)
    served = open_session(onnx.load(tmp_path / "models" / "flowers" / "1" / "model.onnx"))
    answers = served.run(dataset.x[dataset.test].astype(np.float32))[0]
    accuracy = np.mean(answers.argmax(axis=1) == dataset.y[dataset.test])
    assert manifest.metrics["test_accuracy"] == pytest.approx(accuracy)
    kan = checkpoint.load(run.folder.path / "kan.safetensors")
    exact = _by_torch(dataset, kan)
    lost = np.mean(exact.argmax(axis=1) == dataset.y[dataset.test]) - accuracy
    assert manifest.lowering.precision_loss["test_accuracy"] == pytest.approx(lost)


@pytest.mark.usefixtures("flowers")
def test_held_out_rows_are_kept_as_a_user_has_them(tmp_path: Path) -> None:
    """Raw columns with words and empty cells, and the target."""
    table = pd.read_csv(RunFolder(tmp_path / "run").held_out)
    assert list(table.columns) == ["length", "fixed", "color", "width", "weight"]
    assert set(table["color"]) == {"red", "blue"}
    assert len(table) == len(prepare(load_recipe(tmp_path / "flowers.toml")).test)


def test_held_out_numbers_are_as_short_as_float32_allows(write_recipe: Callable[..., Path]) -> None:
    """0.3 is written as 0.3, and each number reads back as the float32 that the network was judged on."""
    path = write_recipe()
    table = pd.read_csv(path.with_suffix(".csv"))
    table["length"] = np.random.default_rng(1).integers(1, 1000, len(table)) / 1000
    table.to_csv(path.with_suffix(".csv"), index=False)
    dataset = prepare(load_recipe(path))
    text = held_out_csv(dataset)
    written = [line.split(",")[0] for line in text.splitlines()[1:]]
    assert written == [str(length) for length in table["length"][dataset.test]]
    read = pd.read_csv(io.StringIO(text))
    for name in ("length", "width"):
        known = dataset.x[dataset.test, [feature.name for feature in dataset.features].index(name)]
        np.testing.assert_array_equal(read[name].to_numpy().astype(np.float32), known.astype(np.float32))


@pytest.mark.parametrize(
    ("optimizer", "sections"),
    [
        ("adam", "[adapt]\n"),
        pytest.param("lbfgs", "[adapt]\n", marks=pytest.mark.slow),
        pytest.param("levenberg-marquardt", "", marks=pytest.mark.slow),
        pytest.param("adam", "", marks=pytest.mark.slow),
        pytest.param("lbfgs", "", marks=pytest.mark.slow),
        pytest.param("levenberg-marquardt", "[adapt]\n", marks=pytest.mark.slow),
    ],
)
def test_a_run_gone_on_with_publishes_the_same_graph(
    write_recipe: Callable[..., Path], tmp_path: Path, optimizer: str, sections: str
) -> None:
    """Killed after two steps and resumed: the model's bytes are those of a run that never stopped."""
    path = write_recipe(steps=5 if optimizer != "lbfgs" else 25, grids="[3, 5]")
    path.write_text(path.read_text().replace("[fit]", f'[fit]\noptimizer = "{optimizer}"') + sections)
    recipe = load_recipe(path)
    watched = Quiet()
    through = train(Run(recipe, tmp_path / "a", RunFolder(tmp_path / "run_a")), watched)
    folder = RunFolder(tmp_path / "run_b")
    keep = folder.save_state
    run = Run(recipe, tmp_path / "b", folder)

    class Keeping(Quiet):
        """Keeps every state, then is killed."""

        def on_step(self, state: FitState) -> None:
            keep(state, identity_of(recipe, prepare(recipe)))
            super().on_step(state)

    with pytest.raises(KeyboardInterrupt):
        train(run, Keeping(stop_after=2))
    assert not (tmp_path / "b").exists()
    with pytest.raises(RunError, match="--resume"):
        train(run, Quiet())
    resumed = Quiet()
    published = train(Run(recipe, tmp_path / "b", folder, resume=True), resumed)
    assert 0 < resumed.steps < watched.steps
    assert (published.folder / "model.onnx").read_bytes() == (through.folder / "model.onnx").read_bytes()
    assert not folder.has_state()


def test_a_kept_state_belongs_to_how_its_grids_moved(write_recipe: Callable[..., Path]) -> None:
    """With [adapt], without, and with another share: three fits, none of which goes on with another's state."""
    path = write_recipe()
    text, seen = path.read_text(), set()
    for sections in ("", "[adapt]\n", "[adapt]\nuniform_share = 0.5\n"):
        path.write_text(text + sections)
        recipe = load_recipe(path)
        seen.add(identity_of(recipe, prepare(recipe)))
    assert len(seen) == 3


def test_a_kept_state_does_not_belong_to_a_policy(write_recipe: Callable[..., Path]) -> None:
    """What the server does with rows on unknown ground comes after the fit."""
    path = write_recipe()
    text, seen = path.read_text(), set()
    for policy in ("", 'unknown_ground = "answer"', 'unknown_ground = "refuse"'):
        path.write_text(text.replace("[data]", f"{policy}\n[data]", 1))
        recipe = load_recipe(path)
        seen.add(identity_of(recipe, prepare(recipe)))
    assert len(seen) == 1


def test_ctrl_c_after_the_last_step_publishes_nothing_and_is_gone_on_with(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """Asked to stop at the very end of the fit: the state is kept, and --resume publishes once."""
    recipe = load_recipe(write_recipe())
    run = Run(recipe, tmp_path / "models", RunFolder(tmp_path / "run"))

    class Asking(Quiet):
        """Sends SIGINT to this process at the last step."""

        def on_step(self, state: FitState) -> None:
            super().on_step(state)
            if state.stage == len(recipe.fit.grids):
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="--resume"):
        train(run, Asking())
    assert not (tmp_path / "models").exists()
    assert train(replace(run, resume=True), Quiet()).manifest.version == 1
    assert not run.folder.has_state()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"categories": 'color = ["blue", "red"]'},
            r"\[data\] categories color was \[\"red\", \"blue\"\], is \[\"blue",
        ),
        ({"columns": '["length", "color", "width"]'}, r"\[data\] columns was \[.*, is \["),
        ({"missing": "indicator"}, r'\[data\] missing was "median", is "indicator"'),
        ({"kind": "classification", "target": "kind"}, r'\[task\] kind was "regression", is "classification"'),
        (
            {},
            "the data changed since the run was stopped: the table gives other features or targets than then; run with",
        ),
    ],
)
def test_what_changed_since_a_run_was_stopped_is_named(
    write_recipe: Callable[..., Path], tmp_path: Path, options: dict[str, str], said: str
) -> None:
    """The first key of the recipe that differs, with both values; or else that the table has other cells."""
    path = write_recipe()
    recipe, folder = load_recipe(path), RunFolder(tmp_path / "run")
    folder.path.mkdir()
    state = begin(new_network(prepare(recipe), recipe, input_transform(prepare(recipe), "minmax")), recipe.fit)
    folder.save_state(state, identity_of(recipe, prepare(recipe)))
    other = load_recipe(write_recipe(**options))
    if not options:
        table = pd.read_csv(path.with_suffix(".csv"))
        table["length"] = table["length"].where(table.index != 3, 5.0)
        table.to_csv(path.with_suffix(".csv"), index=False)
    with pytest.raises(RunError, match=said):
        folder.load_state(identity_of(other, prepare(other)))


def test_resuming_needs_the_same_recipe_and_something_to_resume(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """Nothing kept, or kept for another recipe: said, with what to do."""
    recipe = load_recipe(write_recipe())
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(RunError, match="nothing to go on"):
        train(Run(recipe, tmp_path / "models", folder, resume=True), Quiet())
    other = load_recipe(write_recipe(steps=6))
    state = begin(new_network(prepare(recipe), recipe, input_transform(prepare(recipe), "minmax")), recipe.fit)
    folder.save_state(state, identity_of(recipe, prepare(recipe)))
    with pytest.raises(
        RunError, match=r"the recipe changed .*: \[fit\] steps was 5, is 6; undo the edit, or run with --f"
    ):
        train(Run(other, tmp_path / "models", folder, resume=True), Quiet())
    content = torch.load(folder.path / "state.pt", weights_only=True)
    del content["told"]  # as an older kan-train kept it
    torch.save(content, folder.path / "state.pt")
    with pytest.raises(RunError, match="recipe or data changed since the run was stopped; run with --fresh"):
        train(Run(other, tmp_path / "models", folder, resume=True), Quiet())
    (folder.path / "state.pt").write_bytes(b"torn")
    with pytest.raises(RunError, match="cannot read it"):
        train(Run(other, tmp_path / "models", folder, resume=True), Quiet())
    assert train(Run(other, tmp_path / "models", folder, fresh=True), Quiet()).manifest.version == 1


@pytest.mark.slow
def test_a_huge_constant_is_published_with_weight_zero(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """A column that holds 1e17 in every row says nothing, and breaks nothing."""
    path = write_recipe()
    table = pd.read_csv(tmp_path / "flowers.csv")
    table["fixed"] = 1e17
    table.to_csv(tmp_path / "flowers.csv", index=False)
    manifest = train(Run(load_recipe(path), tmp_path / "models", RunFolder(tmp_path / "run")), Quiet()).manifest
    assert manifest.features[1].constant


def test_a_column_that_begins_at_zero_says_so_in_the_manifest(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """Read as JSON, without protobuf, `low` is there and is 0."""
    path = write_recipe()
    table = pd.read_csv(tmp_path / "flowers.csv")
    table.loc[::3, "length"] = 0.0
    table.to_csv(tmp_path / "flowers.csv", index=False)
    published = train(Run(load_recipe(path), tmp_path / "models", RunFolder(tmp_path / "run")), Quiet())
    manifest = json.loads((published.folder / "manifest.json").read_text())
    assert [feature["low"] for feature in manifest["features"][:2]] == [0, 4]
    assert [feature["constant"] for feature in manifest["features"]] == [False, True, False, False, False]
    assert manifest["data"]["dropped_rows"] == "0"


def test_two_runs_of_one_model_do_not_share_a_folder(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """The second is told, and touches nothing."""
    run = Run(load_recipe(write_recipe()), tmp_path / "models", RunFolder(tmp_path / "run"))
    with RunFolder(tmp_path / "run").lock(), pytest.raises(RunError, match="another kan-train"):
        train(run, Quiet())


@pytest.mark.slow
def test_a_tolerance_that_nothing_meets_publishes_nothing(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """The error comes before the repository is touched; with a larger one the fit need not be done again."""
    path = write_recipe(kind="classification", target="kind")
    folder = RunFolder(tmp_path / "run")
    text = path.read_text()
    path.write_text(text + "[verify]\ntolerance = 1e-15\n")
    with pytest.raises(TrainingError, match="tolerance 1e-15"):
        train(Run(load_recipe(path), tmp_path / "models", folder), Quiet())
    assert not (tmp_path / "models").exists()
    path.write_text(text + "# now with the usual tolerance\n")
    watcher = Quiet()
    assert train(Run(load_recipe(path), tmp_path / "models", folder, resume=True), watcher).manifest.version == 1
    assert watcher.steps == 0


@pytest.mark.parametrize("blocked", ["models", "models/deeper"])
def test_a_repository_that_cannot_be_is_refused_before_training(
    write_recipe: Callable[..., Path], tmp_path: Path, blocked: str
) -> None:
    """--models names a file, or something below one."""
    (tmp_path / "models").write_text("")
    watcher = Quiet()
    with pytest.raises(TrainingError, match="models is no folder"):
        train(Run(load_recipe(write_recipe()), tmp_path / blocked, RunFolder(tmp_path / "run")), watcher)
    assert watcher.steps == 0


@pytest.mark.usefixtures("flowers")
def test_other_inputs_are_refused_before_training(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """Nobody waits for a fit that cannot be published."""
    other = load_recipe(write_recipe(columns='["length", "width"]', categories=""))
    watcher = Quiet()
    with pytest.raises(TrainingError, match="takes other inputs"):
        train(Run(other, tmp_path / "models", RunFolder(tmp_path / "run")), watcher)
    assert watcher.steps == 0


def test_a_file_for_triton_that_cannot_be_written_ends_the_run_all_the_same(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """A folder lies in its place: one version, told with a warning, and no state that would publish it again."""
    (tmp_path / "models" / "flowers" / "config.pbtxt").mkdir(parents=True)
    run = Run(load_recipe(write_recipe()), tmp_path / "models", RunFolder(tmp_path / "run"))
    published = train(run, Quiet())
    assert published.manifest.version == 1
    assert published.notes[-1].startswith("warning   version 1 is published")
    assert run.folder.held_out.exists()
    with pytest.raises(RunError, match="nothing to go on"):
        train(replace(run, resume=True), Quiet())
    assert published_versions(tmp_path / "models" / "flowers") == [1]


@pytest.mark.slow
def test_a_run_that_broke_after_it_published_publishes_no_more(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """Its results cannot be written: --resume finds the version, ends the run, and the next run publishes version 2."""
    run = Run(load_recipe(write_recipe()), tmp_path / "models", RunFolder(tmp_path / "run"))
    run.folder.held_out.mkdir(parents=True)
    with pytest.raises(OSError, match=r"held_out\.csv"):
        train(run, Quiet())
    assert published_versions(tmp_path / "models" / "flowers") == [1]
    run.folder.held_out.rmdir()
    resumed = train(replace(run, resume=True), Quiet())
    assert resumed.manifest.version == 1
    assert "version 1 was published before the run was stopped; it is not published again" in resumed.notes
    assert published_versions(tmp_path / "models" / "flowers") == [1]
    assert not run.folder.has_state()
    assert train(run, Quiet()).manifest.version == 2


@pytest.mark.slow
def test_another_recipe_of_later_steps_is_published_after_one_that_broke(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """What is gone on with differs from what was published: it is a version of its own."""
    path = write_recipe()
    run = Run(load_recipe(path), tmp_path / "models", RunFolder(tmp_path / "run"))
    run.folder.held_out.mkdir(parents=True)
    with pytest.raises(OSError, match=r"held_out\.csv"):
        train(run, Quiet())
    run.folder.held_out.rmdir()
    path.write_text(path.read_text() + "[prune]\nedge_threshold = 0.0\n")
    assert train(replace(run, recipe=load_recipe(path), resume=True), Quiet()).manifest.version == 2


def test_a_fit_that_diverges_is_not_published(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """A learning rate of 1e5: one message with both losses; the state is kept."""
    path = write_recipe()
    path.write_text(path.read_text().replace("[fit]", "[fit]\nlearning_rate = 1e5"))
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(TrainingError, match="worse than it began"):
        train(Run(load_recipe(path), tmp_path / "models", folder), Quiet())
    assert not (tmp_path / "models").exists()
    assert folder.has_state()
