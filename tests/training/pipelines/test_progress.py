"""What a person sees while a fit runs."""

import io
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from training.data.dataset import prepare
from training.data.preparation import input_transform, new_network, output_transform, samples
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
    assert "R² " in last
    assert "left" in last
    assert last.count("…") == 1  # the name's


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


def test_a_version_that_learns_on_shows_the_same(write_recipe: Callable[..., Path]) -> None:
    """Its fit has one grid; where it ends before its last step the bar is full all the same."""
    recipe, file = load_recipe(write_recipe(steps=10)), io.StringIO()
    with ProgressBar(recipe, Console(file=file, width=80, force_terminal=True, color_system=None)) as progress:
        for step in (0, 5, 7):
            progress.on_evaluation(Record(8, step, 0.5, 0.25, 0.75), ended=False)
        progress.on_evaluation(Record(8, 7, 0.5, 0.25, 0.75), ended=True)
    last = file.getvalue().split("\r")[-1].splitlines()[0]
    assert "100%" in last
    assert "grid 8  loss 0.5  R² 0.7500" in last
    assert file.getvalue().count("grid 8  loss 0.5  validation loss 0.25  R² 0.7500 after 7 steps") == 1


def test_elsewhere_it_is_one_line_a_grid_and_the_warnings(write_recipe: Callable[..., Path]) -> None:
    """A log file gets no bar: what was read, what to know about it, how each grid ended."""
    lines = shown(write_recipe(grids="[3, 5]", steps=2), terminal=False).splitlines()
    assert "flowers.csv: 5 inputs -> weight" in lines[0]
    assert any(line.startswith("warning: ") and '"fixed"' in line for line in lines)
    assert [line.split("  ")[0] for line in lines if line.startswith("grid")] == ["grid 3", "grid 5"]
