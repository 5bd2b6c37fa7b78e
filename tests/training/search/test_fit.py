"""The search: it keeps the better candidate, and an interrupted one goes on."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kan_model.network import checkpoint
from training.errors import DataError, Interrupted
from training.fitting.fit import FitState, TrainingDiverged
from training.pipelines.run import Run
from training.pipelines.run_folder import RunError, RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.recipe.config import load_recipe
from training.report.verdict import judge_version

SEARCH = """
[adapt]
[ensemble]
members = 4
[search]
[[search.candidates]]
hidden = [2]
learning_rate = 1e-6
[[search.candidates]]
hidden = [4]
learning_rate = 0.03
steps = 25
[[search.candidates]]
learning_rate = 1e-5
"""


class Watching(Watcher):
    """Keeps messages and shares; after so many steps, SIGINT comes to this process."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.steps, self.stop_after = 0, stop_after
        self.messages: list[str] = []
        self.shares: list[float] = []

    def on_step(self, state: FitState) -> None:
        """Keep the share."""
        self.steps += 1
        assert state.share_done is not None
        self.shares.append(state.share_done)
        if self.steps == self.stop_after:
            signal.raise_signal(signal.SIGINT)

    def on_message(self, text: str) -> None:
        """Keep the message."""
        self.messages.append(text)


@pytest.fixture
def run(write_recipe: Callable[..., Path], tmp_path: Path) -> Callable[..., Run]:
    """A run of a search whose second candidate is the only one that learns."""

    def of(search: str = SEARCH) -> Run:
        path = write_recipe(steps=8)
        path.write_text(path.read_text() + search)
        return Run(load_recipe(path), tmp_path / "models", RunFolder(tmp_path / "run"))

    return of


def test_the_candidate_with_the_lowest_loss_is_published(run: Callable[..., Run]) -> None:
    """The network has its shape; the manifest says what each candidate reached, and the progress what is fitted."""
    given, watching = run(), Watching()
    published = train(given, watching)
    assert list(published.manifest.network.width) == [5, 16, 1]
    metrics = published.manifest.metrics
    assert metrics["search_chosen_candidate"] == 2
    losses = [metrics[f"search_candidate_{number}_loss"] for number in (1, 2, 3)]
    assert min(losses) == losses[1]
    assert sorted(metrics[f"search_candidate_{number}_members"] for number in (1, 2, 3)) == [2, 2, 4]
    chosen = f"search    candidate 2 was chosen; of all 4 members its out-of-fold loss is {losses[1]:.4g}"
    assert chosen in published.notes
    assert watching.messages[0].startswith("candidate 1 of 3, members 1 to 2: out-of-fold loss")
    assert watching.shares == sorted(watching.shares)
    assert watching.shares[-1] == 1.0


def test_the_losses_that_are_shown_are_those_that_were_compared(run: Callable[..., Run]) -> None:
    """All over the same members, as the progress told them; the winner's later members would make it look worse."""
    watching = Watching()
    notes = train(run(), watching).notes
    told = [message.split("out-of-fold loss ")[1].split()[0] for message in watching.messages[:3]]
    for number, loss in enumerate(told, 1):
        start = f"search    candidate {number}: out-of-fold loss {loss} of members 1 to 2: "
        assert sum(note.startswith(start) for note in notes) == 1
    assert min(map(float, told)) == float(told[1])


def test_one_candidate_was_compared_with_none(run: Callable[..., Run]) -> None:
    """Its loss is that of all members."""
    one = "[ensemble]\nmembers = 2\n[search]\n[[search.candidates]]\nhidden = [2]\n"
    notes = train(run(one), Watching()).notes
    assert any("candidate 1: out-of-fold loss" in note and " of members 1 to 2: hidden = [2]" in note for note in notes)
    assert "search    candidate 1 was chosen" in notes


def test_an_interrupted_search_goes_on_to_the_same_network(run: Callable[..., Run], tmp_path: Path) -> None:
    """In the first candidate, between two of them, and in a later round: the same bytes, without fitting twice."""
    given = run()
    through = Watching()
    whole = train(replace(given, models=tmp_path / "whole", folder=RunFolder(tmp_path / "other")), through)
    for stop_after in (3, 9, 30):
        folder = RunFolder(tmp_path / f"run{stop_after}")
        halfway = replace(given, models=tmp_path / f"models{stop_after}", folder=folder)
        with pytest.raises(Interrupted):
            train(halfway, Watching(stop_after))
        watching = Watching()
        resumed = train(replace(halfway, resume=True), watching)
        assert watching.steps == through.steps - stop_after
        assert (resumed.folder / "model.onnx").read_bytes() == (whole.folder / "model.onnx").read_bytes()


def test_a_candidate_that_no_row_count_allows_is_found_before_the_first_step(run: Callable[..., Run]) -> None:
    """The third one's grid has more intervals than there are rows: nothing is fitted, and the message names it."""
    given, watching = run(SEARCH + "grids = [3, 5000]\n"), Watching()
    with pytest.raises(DataError, match=r"candidates, entry 3: .*5000 intervals"):
        train(given, watching)
    assert watching.steps == 0
    assert not given.folder.has_state()


def test_another_search_in_the_folder_is_refused(run: Callable[..., Run]) -> None:
    """Other candidates are another recipe."""
    with pytest.raises(Interrupted):
        train(run(), Watching(3))
    other = run(SEARCH.replace("0.03", "0.04"))
    with pytest.raises(RunError, match=r"\[search\] candidates, entry 2: learning_rate was 0.03, is 0.04"):
        train(replace(other, resume=True), Watching())


def diverging(run: Run, numbers: tuple[int, ...]) -> Run:
    """The run with a learning rate in some candidates that no recipe may have."""
    search = run.recipe.search
    assert search is not None
    candidates = [
        candidate.model_copy(update={"learning_rate": 1e30} if number in numbers else {})
        for number, candidate in enumerate(search.candidates, 1)
    ]
    changed = search.model_copy(update={"candidates": tuple(candidates)})
    return replace(run, recipe=run.recipe.model_copy(update={"search": changed}))


def test_a_candidate_that_diverges_loses(run: Callable[..., Run]) -> None:
    """Its numbers are not finite; the others go on. If all diverge, nothing is published."""
    published = train(diverging(run(), (1,)), Watching())
    assert published.manifest.metrics["search_chosen_candidate"] == 2
    assert "search_candidate_1_loss" not in published.manifest.metrics
    with pytest.raises(TrainingDiverged, match="smaller learning_rate"):
        train(replace(diverging(run(), (1, 2, 3)), fresh=True), Watching())


def test_what_went_wrong_in_the_winners_fits_is_told(run: Callable[..., Run]) -> None:
    """No step is better than a random start, so no free fit teaches the monotone members."""
    given = run(SEARCH)
    search, network = given.recipe.search, given.recipe.network
    assert search is not None
    candidates = tuple(each.model_copy(update={"learning_rate": 1e-30}) for each in search.candidates)
    changed = {
        "search": search.model_copy(update={"candidates": candidates}),
        "network": network.model_copy(update={"monotone": {"length": "up"}}),
    }
    published = train(replace(given, recipe=given.recipe.model_copy(update=changed)), Watching())
    for members in ("1 to 2", "3 to 4"):
        assert any(note.startswith(f"search    members {members}: targets alone") for note in published.notes)


def test_a_tiny_budget_gives_a_sound_model(run: Callable[..., Run]) -> None:
    """One epoch of one candidate. The mean of members that learned nothing does not overfit."""
    given = run(SEARCH.replace("[search]\n", "[search]\nbudget = 1e-9\n", 1))
    published = train(given, Watching())
    assert torch.isfinite(checkpoint.load(given.folder.path / "kan.safetensors")(torch.rand(9, 5))).all()
    assert any("the budget allows" in note for note in published.notes)
    assert not [warning for warning in judge_version(published.manifest)[1] if "overfits" in warning]
