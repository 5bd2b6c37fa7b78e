"""What a recipe can ask for beside the fit: sparser edges, a smaller network, formulas."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np
import onnx
import pytest
import sympy
import torch

from kan_model import KAN
from kan_model.analysis.edge_values import edge_values
from kan_model.network import checkpoint
from kan_model.onnx_runtime import run as run_model
from training.data.dataset import prepare
from training.data.preparation import input_transform, new_network, output_transform
from training.errors import RecipeError
from training.fitting.fit import FitState, begin, fit_steps
from training.fitting.record import Record
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder, identity_of
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published
from training.publishing.verify import VerificationFailed
from training.recipe.config import Recipe, load_recipe, parse_recipe
from training.steps import StepData, StepFailed, finish


class Counting(Watcher):
    """A watcher that counts the steps of the fit and keeps what it is told."""

    def __init__(self) -> None:
        self.steps = 0
        self.lines: list[str] = []

    def on_step(self, state: FitState) -> None:
        self.steps += 1

    def on_message(self, text: str) -> None:
        self.lines.append(text)


def published(recipe: Recipe, place: Path, *, resume: bool = False, watcher: Counting | None = None) -> Published:
    """Train and publish below ``place``."""
    run = Run(recipe, place / "models", RunFolder(place / "run"), resume=resume)
    return train(run, watcher or Counting())


def fitted(recipe: Recipe) -> tuple[KAN, StepData, list[Record]]:
    """The network as the fit leaves it, its rows, and the history."""
    dataset = prepare(recipe)
    inputs, outputs = input_transform(dataset, recipe.inputs.scaling), output_transform(dataset)
    kan = new_network(dataset, recipe, inputs)
    table = StepData.of(dataset, inputs, outputs, kan.dtype)
    *_, state = steps(begin(kan, recipe.fit), recipe, table)
    return state.best, table, state.history


def steps(state: FitState, recipe: Recipe, table: StepData) -> Iterator[FitState]:
    """The fit as the pipeline runs it."""
    return fit_steps(state, table.train, table.validation, recipe.fit, table.dataset.task, recipe.sparsify)


@pytest.mark.parametrize(
    ("sections", "wanted"),
    [
        ("[sparsify]\npenalty = 0.0", "[sparsify] penalty = 0.0: wanted more than 0"),
        ("[sparsify]\nl1 = -1.0", "[sparsify] l1 = -1.0: wanted at least 0"),
        ("[sparsify]\npenaltee = 1.0", '[sparsify] unknown key "penaltee"; did you mean penalty?'),
        ("[prune]\nnode_threshold = 1.5", "[prune] node_threshold = 1.5: wanted at most 1"),
        ("[prune]\nedges = 0", "[prune] edges = 0: wanted at least 1"),
        ("[prune]\nmax_loss_increase = -0.1", "[prune] max_loss_increase = -0.1: wanted at least 0"),
        ("[prune]\nedges = 4\nedge_threshold = 0.1", "[prune]: wanted either thresholds or edges"),
        ("[prune]\nmin_r2 = 0.9", '[prune] unknown key "min_r2"; it belongs in [symbolic]'),
        ("[symbolic]\nmin_r2 = 0.0", "[symbolic] min_r2 = 0.0: wanted more than 0"),
        ("[symbolic]\nfunctions = []", "[symbolic]: functions is empty"),
        ('[symbolic]\nfunctions = ["sin", "sine"]', '[symbolic]: functions has "sine"; wanted some of x, x^2,'),
        ('[symbolic]\nfunctions = "sin"', '[symbolic] functions = "sin": wanted a list'),
        ("[formula]\nserve = true", "[formula]: only with [symbolic]"),
        ("[symbolic]\n[formula]\nserve = 1", "[formula] serve = 1: wanted true or false"),
        ("[symbolik]\n", 'unknown section or key "symbolik"; did you mean symbolic?'),
    ],
)
def test_a_mistake_in_these_sections_is_named(wave: Callable[[str], Recipe], sections: str, wanted: str) -> None:
    """As in all others: what came and what was wanted.

    This table is the one place that pins these messages.
    """
    with pytest.raises(RecipeError) as caught:
        wave(sections)
    assert wanted in str(caught.value)


@pytest.mark.parametrize("fit", ["lbfgs", "adam"])
def test_sparsify_makes_edges_that_say_nothing_smaller(wave: Callable[[str], Recipe], tmp_path: Path, fit: str) -> None:
    """The idle column's share of all edges falls; losses told are those of the prediction alone."""
    shares = []
    for sections in ("", "[sparsify]\npenalty = 0.01"):
        recipe = wave(sections)
        if fit == "adam":
            plan = type(recipe.fit)(optimizer="adam", grids=(4,), steps=30, batch_rows=32)
            recipe = recipe.model_copy(update={"fit": plan})
        kan, table, history = fitted(recipe)
        with torch.no_grad():
            size = next(edge_values(kan, table.train.x)).abs().mean(dim=0)[0]
            loss = float((kan(table.validation.x) - table.validation.y).square().mean())
        shares.append(float(size[2] / size.sum()))
        assert min(record.validation_loss for record in history) == pytest.approx(loss)
    assert shares[1] < shares[0] / 2


def test_a_sparse_fit_belongs_to_its_penalty_and_is_gone_on_with(wave: Callable[[str], Recipe]) -> None:
    """Another penalty is another fit; one stopped half-way and gone on with ends in the same weights."""
    recipe, other = (wave(f"[sparsify]\npenalty = {penalty}") for penalty in (0.01, 0.02))
    dataset = prepare(recipe)
    assert len({identity_of(each, dataset) for each in (recipe, other, wave(""), wave("[prune]"))}) == 3
    through, table, _ = fitted(recipe)
    begun = steps(begin(new_network(dataset, recipe, table.inputs), recipe.fit), recipe, table)
    *_, state = steps(replace(next(begun)), recipe, table)
    assert all(torch.equal(a, b) for a, b in zip(through.parameters(), state.best.parameters(), strict=True))


def test_pruning_leaves_what_counts_and_all_features(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """The idle column's edge goes, its feature stays; graph, notes and report tell of two edges out of three."""
    recipe = wave("[prune]\nedge_threshold = 0.1")
    version = published(recipe, tmp_path)
    kan = checkpoint.load(tmp_path / "run" / "kan.safetensors")
    assert kan.layers[0].active_edges.tolist() == [[True, True, False]]
    assert [feature.name for feature in version.manifest.features] == ["a", "b", "idle"]
    assert version.notes[0].startswith("pruned: 2 of 3 edges left, network [3, 1] -> [3, 1]; validation loss")
    assert "fitted again" in version.notes[0]
    assert escape(version.notes[0]) in (version.folder / "report.html").read_text()
    rows = prepare(recipe).x[:50].astype(np.float32)
    moved = rows + np.array([0, 0, 100], np.float32)
    model = onnx.load(version.folder / "model.onnx")
    np.testing.assert_array_equal(run_model(model, rows), run_model(model, moved))
    assert version.manifest.metrics["test_r2"] > 0.999
    # Two edges of 8 + 3 coefficients and a base weight, and what the edge that went added: it does not count itself.
    assert version.manifest.network.parameters == 25
    # A person reads names, not numbers of nodes.
    assert 'alt="edge from a to y"' in (version.folder / "report.html").read_text()


def test_steps_after_a_fit_with_nodes_that_multiply(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """Edges are cut, become formulas and are cut again: their sums and nodes have other numbers each time."""
    recipe = wave(
        "[prune]\nedge_threshold = 0.2\nmax_loss_increase = 1e9\n[symbolic]\nmin_r2 = 0.3\nmax_loss_increase = 1e9\n"
    )
    network = recipe.network.model_copy(update={"hidden": ((1, 1),)})
    version = published(recipe.model_copy(update={"network": network}), tmp_path)
    assert any(note.startswith("symbolic: ") for note in version.notes)
    kan = checkpoint.load(tmp_path / "run" / "kan.safetensors")
    assert kan.layers[0].products is None or kan.layers[0].products.sums == kan.layers[0].sums


def test_a_number_of_edges_and_no_second_fit(wave: Callable[[str], Recipe]) -> None:
    """At most so many edges stay; with refit_steps = 0 the rest of the weights is as it was."""
    recipe = wave("[prune]\nedges = 1\nrefit_steps = 0\nmax_loss_increase = 1e9")
    kan, table, _ = fitted(recipe)
    finished = finish(kan, recipe, table, lambda: None)
    (edge,) = finished.kan.layers[0].active_edges.nonzero().tolist()
    output, input_ = edge
    assert torch.equal(finished.kan.layers[0].coefficients[output, input_], kan.layers[0].coefficients[output, input_])
    assert finished.history == ()


@pytest.mark.slow
def test_the_formula_in_raw_units_is_the_truth(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """Scaled inputs and targets: what the manifest shows, read by sympy, gives the table's target to its 4 digits."""
    recipe = wave('[prune]\nedge_threshold = 0.1\n[symbolic]\nfunctions = ["x", "x^2", "exp", "sin", "tanh"]')
    version = published(recipe, tmp_path)
    name, text = version.manifest.formula.split(" = ")
    assert name == "y"
    a, b = sympy.symbols("a b")
    shown = sympy.lambdify((a, b), sympy.sympify(text), "numpy")
    dataset = prepare(recipe)
    rows = dataset.x[dataset.test]
    truth = 3 * np.sin(rows[:, 0]) + rows[:, 1] + 7
    np.testing.assert_allclose(shown(rows[:, 0], rows[:, 1]), truth, atol=2e-2)
    answers = run_model(onnx.load(version.folder / "model.onnx"), rows.astype(np.float32))
    np.testing.assert_allclose(answers[:, 0], truth, atol=1e-4)
    assert any(note.startswith("symbolic: 2 of 2 edges are formulas") for note in version.notes)
    assert any("its stability is counted only in context" in note for note in version.notes)
    page = (version.folder / "report.html").read_text()
    assert escape(version.manifest.formula) in page
    latex = re.search(r"<details><summary>its right-hand side as LaTeX</summary>\n<pre>(.*)</pre>", page)
    assert latex
    assert r"\sin" in latex[1]


@pytest.mark.slow
def test_long_steps_are_told_as_they_begin(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """In their order, of the formulas how many edges wait for one in each layer."""
    watcher = Counting()
    published(
        wave('[prune]\nedge_threshold = 0.1\n[symbolic]\nfunctions = ["x"]\n[baseline]'), tmp_path, watcher=watcher
    )
    assert [line.split(",")[0] for line in watcher.lines] == [
        "prune: cutting edges",
        "symbolic: 2 edges",
        "symbolic: layer 0",
        "baseline: fitting an MLP",
    ]
    assert "symbolic: layer 0, 2 edges" in watcher.lines[2]


@pytest.mark.slow
def test_a_refusal_tells_what_was_done(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """A person can choose a remedy only by knowing which functions there are; those at fault are named."""
    text = wave('[prune]\n[symbolic]\nfunctions = ["x", "sin"]\nmin_r2 = 0.1\n[verify]\ntolerance = 1e-15').text
    for old, new in (
        ('"y"', '"kind"'),
        ("regression", "classification"),
        ("lbfgs", "adam"),
        ("steps = 40", "steps = 5"),
    ):
        text = text.replace(old, new)
    with pytest.raises(VerificationFailed) as caught:
        published(parse_recipe(text, folder=tmp_path, name="wave.toml"), tmp_path)
    first, *notes = str(caught.value).splitlines()
    assert "[verify] tolerance" in first
    assert "[symbolic] functions without" not in first
    assert [note.strip().split(":")[0] for note in notes[:2]] == ["pruned", "symbolic"]
    assert "edges are formulas" in notes[1]


@pytest.mark.slow
def test_what_stays_a_spline_is_said(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """With straight lines only, the sine stays a spline, and there is no formula; b is a line."""
    version = published(wave('[prune]\nedge_threshold = 0.1\n[symbolic]\nfunctions = ["x"]'), tmp_path)
    notes = "\n".join(version.notes)
    assert "symbolic: 1 of 2 edges are formulas" in notes
    assert "still splines: layer 0 from a to 0 (nearest: x, R²" in notes
    assert "no formula of the whole network" in notes
    assert version.manifest.formula == ""
    assert version.manifest.metrics["test_r2"] > 0.999


def test_no_edge_is_met_by_any_function(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """The network is published as it was fitted; the columns are named with the R² of the nearest function."""
    version = published(wave('[symbolic]\nfunctions = ["sgn"]\nmin_r2 = 0.9999'), tmp_path)
    first, second = version.notes
    assert first == "symbolic: no function meets any of 3 edges with R² 0.9999; all stay splines"
    assert second.startswith("still splines: layer 0 from a to 0 (nearest: sgn, R² 0.")


@pytest.mark.slow
def test_classes_have_formulas_of_logits(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """Of a table with missing values: one line a class, and the notes say softmax and imputed."""
    path = write_recipe(kind="classification", target="kind", grids="[5]", steps=150)
    text = path.read_text().replace("hidden = [3]", "hidden = []")
    path.write_text(text + '[symbolic]\nfunctions = ["x", "x^2", "sin"]\nmin_r2 = 0.5\nconstants_steps = 30\n')
    version = published(load_recipe(path), tmp_path)
    assert [line.split(" = ")[0] for line in version.manifest.formula.splitlines()] == ["big", "small"]
    notes = "\n".join(version.notes)
    assert "the class probabilities are their softmax" in notes
    assert "Missing values are imputed" in notes
    assert version.manifest.metrics["test_accuracy"] > 0.7


@pytest.mark.slow
def test_a_step_that_fails_keeps_the_fit(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """Nothing is published; with other steps --resume goes on without fitting, to the bytes of a run in one go."""
    hopeless = wave("[prune]\nedges = 1\n").model_copy(
        update={"network": wave("").network.model_copy(update={"hidden": (2,)})}
    )
    with pytest.raises(StepFailed, match=r"\[prune\]: .*no path"):
        published(hopeless, tmp_path / "a")
    assert not (tmp_path / "a" / "models").exists()
    mended = hopeless.model_copy(update={"prune": wave("[prune]\nedges = 5").prune})
    watcher = Counting()
    resumed = published(mended, tmp_path / "a", resume=True, watcher=watcher)
    assert watcher.steps == 0
    at_once = published(mended, tmp_path / "b")
    assert (resumed.folder / "model.onnx").read_bytes() == (at_once.folder / "model.onnx").read_bytes()
    assert resumed.notes == at_once.notes


@pytest.mark.parametrize("sections", ["[prune]", '[symbolic]\nfunctions = ["x"]'])
def test_a_wish_to_stop_is_heard_within_a_step(wave: Callable[[str], Recipe], sections: str) -> None:
    """The check is asked while the network is fitted again, and between the layers that become formulas."""

    class Asked(Exception):
        pass

    def stop() -> None:
        raise Asked

    recipe = wave(sections)
    kan, table, _ = fitted(recipe)
    with pytest.raises(Asked):
        finish(kan, recipe, table, stop)


@pytest.mark.slow
def test_the_formula_recipe_finds_the_formula(tmp_path: Path) -> None:
    """exp(sin(πx) + y²): the graph is within 1e-3 of the range of the truth, the report shows the formula."""
    with resources.as_file(resources.files("training") / "recipes" / "formula.toml") as path:
        version = published(load_recipe(path), tmp_path)
    rows = np.random.default_rng(5).uniform(-1, 1, (500, 2)).astype(np.float32)
    x, y = rows.T.astype(np.float64)
    truth = np.exp(np.sin(np.pi * x) + y**2)
    answers = run_model(onnx.load(version.folder / "model.onnx"), rows)[:, 0]
    assert np.abs(answers - truth).max() < 1e-3 * np.ptp(truth)
    formula = version.manifest.formula
    assert escape(formula) in (version.folder / "report.html").read_text()
    x_, y_ = sympy.symbols("x y")
    shown = sympy.lambdify((x_, y_), sympy.sympify(formula.split(" = ")[1]), "numpy")
    np.testing.assert_allclose(shown(x, y), truth, rtol=1e-2)
