"""What a person sees while a fit runs."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from sklearn.metrics import r2_score

from training.data.dataset import Dataset, prepare, prepare_table
from training.data.preparation import input_transform, new_network, output_transform, samples
from training.data.source import load_source
from training.data.split import Split
from training.ensemble.fit import out_of_fold_answers
from training.ensemble.plan import EnsembleFit
from training.fitting.fit import begin, fit_steps
from training.fitting.record import Record
from training.pipelines.progress import ProgressBar
from training.recipe.config import load_recipe


def shown(recipe_path: Path, *, terminal: bool) -> str:
    """A whole fit, as 80 columns show it."""
    recipe = load_recipe(recipe_path)
    dataset = prepare(recipe)
    inputs, outputs = input_transform(dataset, "minmax"), output_transform(dataset)
    kan = new_network(dataset, recipe, inputs)
    train, validation = (
        samples(dataset, rows, inputs, outputs, kan.dtype) for rows in (dataset.train, dataset.validation)
    )
    file = io.StringIO()
    with ProgressBar(recipe, Console(file=file, width=80, force_terminal=terminal, color_system=None)) as progress:
        progress.on_prepared(dataset)
        for state in fit_steps(begin(kan, recipe.fit), train, validation, recipe.fit, dataset.task):
            progress.on_step(state)
    return file.getvalue()


def test_loss_metric_grid_and_time_left_fit_a_terminal_of_80_columns(write_recipe: Callable[..., Path]) -> None:
    """Nothing that a person waits for is cut off, however long the model's name."""
    path = write_recipe(name="a_model_with_a_very_long_name", grids="[3, 100]", steps=2)
    last = shown(path, terminal=True).split("\r")[-1].splitlines()[0]
    assert "100%" in last
    assert "grid 100" in last
    assert "loss 0." in last
    assert "best R² " in last
    assert "left" in last
    assert last.count("…") == 1  # the name's


def test_the_score_of_classes_fits_too(write_recipe: Callable[..., Path]) -> None:
    """Its name is the longest of the scores; loss and time left are at their longest too."""
    path = write_recipe(target="kind", kind="classification", name="a_long_model_name", grids="[100]", steps=2)
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, color_system=None)
    with ProgressBar(load_recipe(path), console) as progress:
        progress.on_evaluation(Record(100, 1, 0.000123, 0.25, 0.875), ended=False)
        progress.on_evaluation(Record(100, 1, 0.000123, 0.25, 0.875), ended=True)
    last = file.getvalue().split("\r")[-1].splitlines()[0]
    assert "grid 100  loss 0.000123  best accuracy 0.8750" in last
    assert last.endswith(" left")
    assert last.count("…") == 1


def test_the_first_line_counts_what_the_network_reads_and_which_rows_train(write_recipe: Callable[..., Path]) -> None:
    """Gap inputs are counted beside the columns; of an ensemble the validation rows train too."""
    path = write_recipe(missing="indicator")
    first = []
    for more in ("", "[ensemble]\n"):
        path.write_text(path.read_text() + more)
        recipe, file = load_recipe(path), io.StringIO()
        with ProgressBar(recipe, Console(file=file, width=80, color_system=None)) as progress:
            progress.on_prepared(prepare(recipe))
        first.append(file.getvalue().splitlines()[0])
    assert first == [
        "flowers.csv: 5 inputs and 1 that tell of gaps -> weight; 130 rows train, 30 validate, 40 test",
        "flowers.csv: 5 inputs and 1 that tell of gaps -> weight; 160 rows train, each left out by one member, 40 test",
    ]


def told(recipe_path: Path, tell: Callable[[ProgressBar], None]) -> str:
    """What a log file gets."""
    file = io.StringIO()
    with ProgressBar(load_recipe(recipe_path), Console(file=file, width=80, color_system=None)) as progress:
        tell(progress)
    return file.getvalue()


def test_a_fit_that_got_worse_shows_the_network_that_is_kept(write_recipe: Callable[..., Path]) -> None:
    """Also of an ensemble: that of an earlier step, of an earlier grid, or the start. In a refit no part of the rows is
    for validation, and the loss has the name of the rows that it is of.
    """
    path = write_recipe(grids="[3, 5]", steps=4)
    path.write_text(path.read_text() + "[ensemble]\nmembers = 3\n")
    recipe = load_recipe(path)
    dataset = prepare(recipe)
    inputs, outputs = input_transform(dataset, "minmax"), output_transform(dataset)
    state = EnsembleFit.of(recipe, dataset, inputs, outputs, torch.float32).begin()
    state.stage, state.best_loss = 1, 0.25
    state.history = [Record(3, 2, 0.3, 0.25, 0.875), Record(3, 4, 0.2, 0.5, 0.75)]
    first = told(path, lambda progress: progress.on_step(state))
    assert first == (
        "grid 3  loss 0.2  validation loss 0.5  R² 0.7500 after 4 steps; "
        "kept: validation loss 0.25  R² 0.8750 after 2 steps\n"
    )
    state.stage = 2
    state.history.append(Record(5, 4, 0.1, 0.75, 0.5))
    assert told(path, lambda progress: progress.on_step(state)).endswith("R² 0.8750 after 2 steps on grid 3\n")
    state.best_loss = 0.125
    assert "; kept: validation loss 0.125 before the first step\n" in told(
        path, lambda progress: progress.on_step(state)
    )

    def refit(progress: ProgressBar) -> None:
        progress.on_refit(dataset, recipe)
        progress.on_step(state)

    last = told(path, refit).splitlines()[-1]
    assert "  out-of-fold loss 0.75  R² 0.5000 after 4 steps; kept: out-of-fold loss 0.125 before" in last


def test_the_two_fits_of_monotone_members_have_a_line_each(write_recipe: Callable[..., Path]) -> None:
    """The first one says that it is without the promise, the second one that it is with it."""
    path = write_recipe(steps=3)
    path.write_text(path.read_text() + "[ensemble]\nmembers = 3\n")
    recipe = load_recipe(path)
    network = recipe.network.model_copy(update={"monotone": {"length": "up"}})
    recipe, file = recipe.model_copy(update={"network": network}), io.StringIO()
    dataset = prepare(recipe)
    inputs, outputs = input_transform(dataset, "minmax"), output_transform(dataset)
    fit = EnsembleFit.of(recipe, dataset, inputs, outputs, torch.float32)
    with ProgressBar(recipe, Console(file=file, width=80, color_system=None)) as progress:
        for state in fit.steps(fit.begin()):
            progress.on_step(state)
    starts = [line.partition("  loss")[0] for line in file.getvalue().splitlines()]
    assert starts == ["without the promise: grid 3", "with the promise: grid 3"]


def test_the_number_beside_the_bar_is_that_of_the_best_step_of_the_fit(write_recipe: Callable[..., Path]) -> None:
    """A fit of an ensemble that overfits: what is shown last is the score of the kept members."""
    path = write_recipe(grids="[60]", steps=40)
    path.write_text(
        path.read_text().replace("steps = 40", "steps = 40\nlearning_rate = 0.1") + "[ensemble]\nmembers = 3\n"
    )
    recipe, file = load_recipe(path), io.StringIO()
    dataset = prepare(recipe)
    inputs, outputs = input_transform(dataset, "minmax"), output_transform(dataset)
    fit = EnsembleFit.of(recipe, dataset, inputs, outputs, torch.float32)
    with ProgressBar(recipe, Console(file=file, width=80, force_terminal=True, color_system=None)) as progress:
        for state in fit.steps(fit.begin()):
            progress.on_step(state)
    best = r2_score(fit.rows.samples.y, out_of_fold_answers(state.best, fit.rows))
    assert state.history[-1].validation_score < best - 0.001
    assert f"best R² {best:.4f}" in file.getvalue().split("\r")[-1].splitlines()[0]


def test_the_end_of_a_search_shows_the_loss_of_the_winner(write_recipe: Callable[..., Path]) -> None:
    """The history is that of the block that was fitted last, which another candidate may have lost."""
    path = write_recipe()
    path.write_text(path.read_text() + "[ensemble]\n[search]\n[[search.candidates]]\nsteps = 3\n")
    recipe, file = load_recipe(path), io.StringIO()
    inputs = input_transform(prepare(recipe), "minmax")
    state = begin(new_network(prepare(recipe), recipe, inputs), recipe.fit)
    state.history, state.best_loss, state.share_done, state.stage = [Record(3, 3, 0.5, 0.75, 0.25)], 0.125, 1.0, 1
    with ProgressBar(recipe, Console(file=file, width=80, force_terminal=True, color_system=None)) as progress:
        progress.on_step(state)
    last = file.getvalue().split("\r")[-1].splitlines()[0]
    assert "100%" in last
    assert "best candidate: loss 0.125" in last
    assert "validation loss" not in file.getvalue()


def refitted(recipe_path: Path, judged: Dataset, every: Dataset) -> list[str]:
    """The lines that a refit of all rows tells, after a fit whose rows were these."""

    def tell(progress: ProgressBar) -> None:
        progress.on_prepared(judged)
        progress.on_refit(every, load_recipe(recipe_path))

    return told(recipe_path, tell).split("refit: ")[1].splitlines()


def test_a_refit_tells_its_own_warnings_or_that_they_are_the_same(write_recipe: Callable[..., Path]) -> None:
    """A column that is constant in the training part only is a warning of the first fit, not of the refit."""
    path = write_recipe()
    recipe = load_recipe(path)
    table, start = load_source(recipe.data), "all 200 rows train now, the test rows too"
    judged, every = prepare(recipe), prepare_table(recipe, *table, arrange=Split.joined)
    assert refitted(path, judged, every) == [f"{start}; the warnings are the same"]
    cells = pd.read_csv(path.with_suffix(".csv"))
    cells["fixed"] = cells["fixed"].where(~cells.index.isin(judged.test[:3]), 5.0)
    cells.to_csv(path.with_suffix(".csv"), index=False)
    judged, every = prepare(recipe), prepare_table(recipe, *load_source(recipe.data), arrange=Split.joined)
    assert refitted(path, judged, every) == [f"{start}; no warning is left"]
    judged, every = replace(judged, warnings=("one", "two")), replace(every, warnings=("two", "three"))
    assert refitted(path, judged, every) == [f"{start}; the warnings are other ones", "warning: two", "warning: three"]


def test_a_version_that_learns_on_shows_the_same(write_recipe: Callable[..., Path]) -> None:
    """Its fit has one grid; where it ends before its last step the bar is full all the same."""
    recipe, file = load_recipe(write_recipe(steps=10)), io.StringIO()
    with ProgressBar(recipe, Console(file=file, width=80, force_terminal=True, color_system=None)) as progress:
        for step in (0, 5, 7):
            progress.on_evaluation(Record(8, step, 0.5, 0.25, 0.75), ended=False)
        progress.on_evaluation(Record(8, 7, 0.5, 0.25, 0.75), ended=True)
    last = file.getvalue().split("\r")[-1].splitlines()[0]
    assert "100%" in last
    assert "grid 8  loss 0.5  best R² 0.7500" in last
    assert file.getvalue().count("grid 8  loss 0.5  validation loss 0.25  R² 0.7500 after 7 steps") == 1


def test_elsewhere_it_is_one_line_a_grid_and_the_warnings(write_recipe: Callable[..., Path]) -> None:
    """A log file gets no bar: what was read, what to know about it, how each grid ended."""
    lines = shown(write_recipe(grids="[3, 5]", steps=2), terminal=False).splitlines()
    assert "flowers.csv: 5 inputs -> weight" in lines[0]
    assert any(line.startswith("warning: ") and '"fixed"' in line for line in lines)
    assert [line.split("  ")[0] for line in lines if line.startswith("grid")] == ["grid 3", "grid 5"]


def test_the_bar_of_images_goes_on_from_grid_to_grid_and_through_the_refit(write_recipe: Callable[..., Path]) -> None:
    """Two grids of 10 steps that validation rows judge, then the same 20 steps again, which none judge."""
    recipe, file = load_recipe(write_recipe(grids="[3, 5]", steps=10)), io.StringIO()
    recipe = recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"refit_with_validation": True})})
    with ProgressBar(recipe, Console(file=file, width=80, force_terminal=True, color_system=None)) as progress:
        for grid in (3, 5):
            progress.on_evaluation(Record(grid, 10, 0.5, 0.25, 0.75), ended=False)
            progress.on_evaluation(Record(grid, 10, 0.5, 0.25, 0.75), ended=True)
        progress.on_unjudged_step(10, 0.125)
    last = file.getvalue().split("\r")[-1].splitlines()[0]
    assert "75%" in last
    assert "refit  loss 0.125" in last
