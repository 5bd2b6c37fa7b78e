"""What is said of a fit that ended badly, and of formulas whose graph is refused."""

from collections.abc import Callable

import pytest
import torch

from kan_model import KAN, KANConfig, SymbolicEdge
from training.data.dataset import prepare
from training.data.preparation import input_transform, new_network, output_transform
from training.fitting.fit import FitState, TrainingDiverged
from training.recipe.config import Recipe
from training.recipe.fit_sections import FitSection
from training.steps import StepData
from training.steps.advice import FOR_ESTIMATORS, FOR_RECIPES
from training.steps.fit_diagnostics import diagnose_fit, suggest_change


@pytest.fixture
def begun(wave: Callable[[str], Recipe]) -> tuple[KAN, StepData, float]:
    """A network before its first step, its rows, and its loss on those that choose."""
    dataset = prepare(recipe := wave(""))
    inputs, outputs = input_transform(dataset, "minmax"), output_transform(dataset)
    kan = new_network(dataset, recipe, inputs)
    table = StepData.of(dataset, inputs, outputs, kan.dtype)
    with torch.no_grad():
        loss = float((kan(table.validation.x) - table.validation.y).square().mean())
    return kan, table, loss


def test_a_fit_that_ends_far_worse_than_it_began_has_diverged(begun: tuple[KAN, StepData, float]) -> None:
    """Both losses are told and what to change; Levenberg-Marquardt has no learning rate."""
    kan, table, loss = begun
    state = FitState(kan, kan, best_loss=11 * loss)
    with pytest.raises(TrainingDiverged, match=r"now 0\.5\)"):
        diagnose_fit(state, kan, FitSection(learning_rate=0.5), table)
    with pytest.raises(TrainingDiverged, match=rf"{11 * loss:.3g}, {loss:.3g} before"):
        diagnose_fit(state, kan, FitSection(optimizer="levenberg-marquardt"), table)


@pytest.mark.parametrize(("times", "notes"), [(0.5, 0), (1.5, 1)])
def test_one_that_ends_a_little_worse_is_a_warning(
    begun: tuple[KAN, StepData, float], times: float, notes: int
) -> None:
    """Few validation rows can be an accident."""
    kan, table, loss = begun
    told = diagnose_fit(FitState(kan, kan, best_loss=times * loss), kan, FitSection(), table)
    assert len(told) == notes
    assert all(note.startswith("warning   no step was better") for note in told)


def test_a_grid_that_ended_early_is_told(begun: tuple[KAN, StepData, float]) -> None:
    """By its size."""
    kan, table, _ = begun
    told = diagnose_fit(FitState(kan, kan, best_loss=0.0, diverged=[8]), kan, FitSection(), table)
    assert [note.split(":")[0] for note in told] == ["grid 8"]


def test_functions_that_may_be_at_fault_are_named_with_their_layer() -> None:
    """Steep ones, and those without an answer somewhere; sin and x^2 are neither; splines have none."""
    kan = KAN(KANConfig((3, 2, 1)))
    assert "functions" not in suggest_change(kan)
    calm = kan.layers[1].changed(
        symbolic=[SymbolicEdge(0, 0, "sin", 1, 0, 1, 0), SymbolicEdge(0, 1, "x^2", 1, 0, 1, 0)]
    )
    first = [SymbolicEdge(0, 0, "tan", 1, 0, 1, 0), SymbolicEdge(1, 1, "exp", 1, 0, 1, 0)]
    steep = kan.layers[0].changed(symbolic=[*first, SymbolicEdge(1, 2, "log", 1, 0, 1, 0)])
    assert "functions" not in suggest_change(KAN.of_layers([kan.layers[0], calm]))
    hint = suggest_change(KAN.of_layers([steep, calm]))
    assert "exp, log, tan (layer 0)" in hint


def test_the_hint_is_in_the_words_of_the_reader() -> None:
    """An estimator has arguments, and no run that --resume could go on with."""
    kan = KAN(KANConfig((1, 1)))
    steep = KAN.of_layers([kan.layers[0].changed(symbolic=[SymbolicEdge(0, 0, "tan", 1, 0, 1, 0)])])
    of_recipe, of_estimator = (suggest_change(steep, advice) for advice in (FOR_RECIPES, FOR_ESTIMATORS))
    assert of_recipe == suggest_change(steep)
    assert "--resume" in of_recipe
    assert "[symbolic] functions without tan (layer 0)" in of_recipe
    assert "--" not in of_estimator
    assert 'recipe={"verify": {"tolerance": 1e-4}}' in of_estimator
    assert of_estimator.endswith('fit with recipe={"symbolic": {"functions": [...]}} without tan (layer 0)')
