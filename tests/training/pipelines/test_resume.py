"""A resumed run keeps its split: no training row becomes a test row."""

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from training.data.dataset import Dataset, prepare
from training.errors import Interrupted
from training.fitting.fit import FitState
from training.pipelines.run import Run
from training.pipelines.run_folder import RunError, RunFolder, identity_of
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.recipe.config import Recipe, load_recipe
from training.recipe.fit_sections import EnsembleSection

# A table, three recipes and the states that kan-train of 9536bcd kept of them: SIGINT came in the second grid.
OLDER = Path(__file__).parent / "older_run"
OLDER_STEPS = 7

Edit = Callable[[pd.Series, Dataset], pd.Series]


class Watching(Watcher):
    """Counts steps; after so many, SIGINT comes to this process."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.steps, self.stop_after = 0, stop_after

    def on_step(self, state: FitState) -> None:
        self.steps += 1
        if self.steps == self.stop_after:
            signal.raise_signal(signal.SIGINT)


def backwards(column: pd.Series, dataset: Dataset) -> pd.Series:
    """The last cell first."""
    return column[::-1].reset_index(drop=True)


def one_exchanged(column: pd.Series, dataset: Dataset) -> pd.Series:
    """One row that trains and one that judges in each other's place: the least that does harm."""
    changed = column.copy()
    changed[dataset.train[3]], changed[dataset.test[3]] = column[dataset.test[3]], column[dataset.train[3]]
    return changed


def renamed(column: pd.Series, dataset: Dataset) -> pd.Series:
    """Other cells, the same parts: a year later, a thousand weeks, another letter for each customer."""
    return column + 1000 if pd.api.types.is_numeric_dtype(column) else column.str.replace("2020", "2021").str.upper()


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], Run]:
    """Writes the older runs' table and one of their recipes; gives the run, with nothing kept of it."""

    def write(name: str) -> Run:
        for file in ("table.csv", f"{name}.toml"):
            shutil.copy(OLDER / file, tmp_path)
        recipe = load_recipe(tmp_path / f"{name}.toml")
        return Run(recipe, tmp_path / "models", RunFolder(tmp_path / "run"))

    return write


def kept_by_older(run: Run) -> Run:
    """The run with the state that the older kan-train kept, about to be gone on with."""
    assert run.recipe.split.column is not None
    run.folder.path.mkdir()
    shutil.copy(OLDER / f"{run.recipe.split.column}.pt", run.folder.path / "state.pt")
    return replace(run, resume=True)


def stopped(run: Run) -> Run:
    """The run, stopped by SIGINT in its second grid, about to be gone on with."""
    with pytest.raises(Interrupted, match="--resume"):
        train(run, Watching(stop_after=OLDER_STEPS))
    return replace(run, resume=True)


def edit_split_column(recipe: Recipe, edit: Edit) -> None:
    """Edit the column that the split goes by, and nothing else, in the table on disk."""
    path, column = recipe.data.path, recipe.split.column
    assert path is not None
    table = pd.read_csv(path)
    table[column] = edit(table[column], prepare(recipe))
    table.to_csv(path, index=False)


@pytest.mark.slow
@pytest.mark.parametrize("edit", [None, renamed], ids=["unedited", "same parts"])
@pytest.mark.parametrize("name", ["day", "week", "customer"])
def test_a_run_whose_parts_are_the_same_ends_as_if_it_had_never_stopped(
    run: Callable[[str], Run], tmp_path: Path, name: str, edit: Edit | None
) -> None:
    """Stopped and gone on with, by time or by group: the bytes of the graph are those of an uninterrupted run."""
    whole = run(name)
    through = train(replace(whole, models=tmp_path / "through", folder=RunFolder(tmp_path / "run_through")), Watching())
    halfway = stopped(whole)
    if edit is not None:
        edit_split_column(halfway.recipe, edit)
    watching = Watching()
    published = train(halfway, watching)
    assert 0 < watching.steps < OLDER_STEPS
    assert (published.folder / "model.onnx").read_bytes() == (through.folder / "model.onnx").read_bytes()


@pytest.mark.parametrize("edit", [backwards, one_exchanged])
@pytest.mark.parametrize("name", ["day", "week", "customer"])
def test_a_run_whose_parts_are_others_is_refused_by_name(run: Callable[[str], Run], name: str, edit: Edit) -> None:
    """The column of the split was edited after the stop: nothing is trained or published."""
    halfway = stopped(run(name))
    before = prepare(halfway.recipe)
    edit_split_column(halfway.recipe, edit)
    assert set(before.train.tolist()) & set(prepare(halfway.recipe).test.tolist())
    watching = Watching()
    with pytest.raises(RunError, match=f'"{name}".* --fresh'):
        train(halfway, watching)
    assert (watching.steps, halfway.models.exists()) == (0, False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["day", "customer"])
def test_an_older_run_goes_on_on_the_split_that_it_began_with(run: Callable[[str], Run], name: str) -> None:
    """Its state says nothing of the split: where the first step comes out the same, the split is the same."""
    older = kept_by_older(run(name))
    watching = Watching()
    published = train(older, watching)
    assert 0 < watching.steps < OLDER_STEPS
    assert (published.manifest.data.train_rows, published.manifest.data.test_rows) == (78, 24)
    if name == "day":
        table, held_out = pd.read_csv(OLDER / "table.csv"), pd.read_csv(older.folder.held_out)
        np.testing.assert_array_equal(held_out["y"], table["y"][-24:])


@pytest.mark.parametrize("edit", [backwards, one_exchanged])
@pytest.mark.parametrize("name", ["day", "customer"])
def test_an_older_run_whose_column_was_edited_is_refused_by_name(
    run: Callable[[str], Run], name: str, edit: Edit
) -> None:
    """Today's split is not the one that it began with, and it is not gone on with."""
    older = kept_by_older(run(name))
    edit_split_column(older.recipe, edit)
    watching = Watching()
    with pytest.raises(RunError, match=f'"{name}" of \\[split\\]'):
        train(older, watching)
    assert (watching.steps, older.models.exists()) == (0, False)


def test_an_older_run_whose_time_split_leaks_is_refused_by_name(run: Callable[[str], Run]) -> None:
    """Seven rows a week, cut after 78: week 11 both trains and chooses, so that the run is begun anew."""
    older = kept_by_older(run("week"))
    watching = Watching()
    with pytest.raises(RunError, match=r'"week" in two parts.*--fresh'):
        train(older, watching)
    assert (watching.steps, older.models.exists()) == (0, False)
    assert train(replace(older, resume=False, fresh=True), watching).manifest.version == 1


def test_an_older_run_that_was_split_by_chance_goes_on(run: Callable[[str], Run], tmp_path: Path) -> None:
    """Recipe, rows and seed are all that its split follows, and they were kept before."""
    path = tmp_path / "day.toml"
    run("day")
    path.write_text(path.read_text().replace('kind = "time"\ncolumn = "day"', 'kind = "random"'))
    halfway = stopped(Run(load_recipe(path), tmp_path / "models", RunFolder(tmp_path / "run")))
    state = tmp_path / "run" / "state.pt"
    content = torch.load(state, weights_only=True)
    del content["split"]
    content["identity"] = content.pop("followed")
    torch.save(content, state)
    assert train(halfway, Watching()).manifest.version == 1


def test_an_ensemble_that_an_older_version_began_goes_on(run: Callable[[str], Run]) -> None:
    """Its recipe had no hidden_grid, and whether it is refitted may change. The fit follows a hidden_grid."""
    recipe = run("day").recipe
    dataset = prepare(recipe)
    for section, followed in (
        (EnsembleSection(members=3), {"members": 3}),
        (EnsembleSection(members=3, refit=True), {"members": 3}),
        (EnsembleSection(members=3, hidden_grid=2), {"members": 3, "hidden_grid": 2}),
    ):
        identity = identity_of(recipe.model_copy(update={"ensemble": section}), dataset)
        assert json.loads(identity.sections)["ensemble"] == followed


def test_a_run_is_not_gone_on_with_from_another_random_start(run: Callable[[str], Run]) -> None:
    """The kept networks began elsewhere: the recipe counts as changed. The default start, said or not, is the same."""
    halfway = stopped(run("day"))
    network = halfway.recipe.network
    other = halfway.recipe.model_copy(
        update={"network": network.model_copy(update={"initialization": "variance-preserving"})}
    )
    with pytest.raises(RunError, match=r'\[network\] initialization was left out, is "varia'):
        train(replace(halfway, recipe=other), Watching())
    said = halfway.recipe.model_copy(
        update={"network": network.model_validate(network.model_dump(exclude_unset=True) | {"initialization": "paper"})}
    )
    assert train(replace(halfway, recipe=said), Watching()).manifest.version == 1
