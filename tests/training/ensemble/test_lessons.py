"""Monotone members learn from free ones: nearer to a monotone truth, and by no row that they leave out."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kan_model.monotone.promise import promised_directions
from training import KANRegressor
from training.data.dataset import prepare
from training.data.preparation import input_transform, new_network, output_transform
from training.ensemble.fit import answers_of_members, begin_members
from training.ensemble.lessons import distance
from training.ensemble.plan import EnsembleFit
from training.ensemble.start import standardize
from training.fitting.grids import first_grid
from training.fitting.state import FitState, decode, encode
from training.recipe.config import parse_recipe

COLUMNS = ["a", "b", "c", "d", "e"]
RECIPE = """
[model]
name = "steep"
[data]
path = "steep.csv"
target = "y"
columns = ["a", "b", "c", "d", "e"]
[task]
kind = "regression"
[split]
[network]
hidden = [12]
monotone = {{ a = "up", b = "up", c = "down" }}
[fit]
grids = [4]
steps = {steps}
batch_rows = 64
learning_rate = 0.01
schedule = "warm-up"
weight_decay = 1.0
[adapt]
[ensemble]
members = 4
"""


def truth(x: np.ndarray) -> np.ndarray:
    """It saturates with a, rises with b as far as the wave of d allows, and falls with c from its middle on."""
    a, b, c, d = x.T[:4]
    found: np.ndarray = np.tanh(4 * a) + np.exp(b) * (1 + np.sin(3 * d)) / 2 - np.maximum(c, 0) ** 2 * 2
    return found


def fit_of(folder: Path, steps: int) -> EnsembleFit:
    """The fit of 60 rows of this truth."""
    x = np.random.default_rng(0).uniform(-1, 1, (60, 5))
    pd.DataFrame(x, columns=COLUMNS).assign(y=truth(x)).to_csv(folder / "steep.csv", index=False)
    recipe = parse_recipe(RECIPE.format(steps=steps), folder=folder, name="steep.toml")
    dataset = prepare(recipe)
    inputs, outputs = input_transform(dataset, "minmax"), output_transform(dataset)
    return EnsembleFit.of(recipe, dataset, inputs, outputs, torch.float32)


def start_alone(fit: EnsembleFit) -> FitState:
    """The members with the promise before their first step, without lessons: as an older kan-train kept them."""
    x, plan = fit.rows.samples.x, fit.recipe.fit
    members = [new_network(fit.dataset, fit.recipe, fit.inputs, seed=seed) for seed in range(fit.rows.members)]
    return begin_members([standardize(first_grid(member, plan.grids[0], x, fit.recipe.adapt), x) for member in members])


def end_of(fit: EnsembleFit, state: FitState) -> FitState:
    """The state at the end."""
    for _ in fit.steps(state):
        pass
    return state


def test_a_promise_costs_little_where_the_truth_keeps_it() -> None:
    """300 rows with as much noise as signal: without lessons the error was 17 % above that of the free fit."""
    random = np.random.default_rng([0, 0, 300, 10])
    x = random.uniform(-1, 1, (300, 5))
    y = truth(x) + random.normal(0, 1.2, 300)
    others = np.random.default_rng(1).uniform(-1, 1, (4_000, 5))
    promised = {"a": "up", "b": "up", "c": "down"}
    errors = []
    for monotone in (None, promised):
        model = KANRegressor(search=False, random_state=0, monotone=monotone).fit(pd.DataFrame(x, columns=COLUMNS), y)
        answered = model.predict(pd.DataFrame(others, columns=COLUMNS))
        errors.append(float(np.sqrt(np.mean((answered - truth(others)) ** 2))))
    assert errors[1] < 1.1 * errors[0]


def test_a_state_of_an_older_fit_goes_on_without_lessons(tmp_path: Path) -> None:
    """It holds monotone members from its first step on, and they keep the promise."""
    fit = fit_of(tmp_path, steps=4)
    kept = encode(start_alone(fit))
    del kept["lessons"]
    state = end_of(fit, decode(kept))
    assert state.lessons is None
    assert [record.step for record in state.history] == [1, 2, 3, 4]
    assert (promised_directions(fit.network(state))[0, :3] == (1, 1, -1)).all()


def test_a_member_learns_what_it_answered_at_the_step_that_other_folds_chose(tmp_path: Path) -> None:
    """Row by row; so the rows that it leaves out choose no answer that teaches it."""
    fit = fit_of(tmp_path, steps=12)
    state, seen = fit.begin(), {}
    for each in fit.steps(state):
        if each.lessons is not None:
            break
        assert each.apart is not None
        seen[each.step] = answers_of_members(each.kan, fit.rows)
        chosen = each.apart.steps.clone()
    lessons = state.lessons
    assert lessons is not None
    assert len(set(chosen.tolist()) - {0}) > 0
    for member, step in enumerate(chosen.tolist()):
        torch.testing.assert_close(lessons[:, member], seen[step][:, member])


@pytest.mark.parametrize("after", [3, 15], ids=["in the free fit", "in the taught fit"])
def test_a_stopped_fit_goes_on_to_the_same_network(tmp_path: Path, after: int) -> None:
    """From what is kept of its state, in either half."""
    fit = fit_of(tmp_path, steps=10)
    whole = end_of(fit, fit.begin())
    steps = fit.steps(fit.begin())
    for _ in range(after):
        halfway = next(steps)
    resumed = end_of(fit, decode(encode(halfway)))
    for ours, theirs in zip(resumed.best.parameters(), whole.best.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_free_fit_that_found_nothing_teaches_nobody(tmp_path: Path) -> None:
    """Steps so small that rounding takes them away: the random start stays the best, and a note says who taught."""
    fit = fit_of(tmp_path, steps=2)
    plan = fit.recipe.fit.model_copy(update={"learning_rate": 1e-30})
    fit = replace(fit, recipe=fit.recipe.model_copy(update={"fit": plan}))
    state = end_of(fit, fit.begin())
    assert state.lessons is None
    (note,) = fit.notes(state)
    assert "targets alone" in note


def test_a_free_fit_that_ended_early_is_told(tmp_path: Path) -> None:
    """The numbers of its second grid overflow: the better steps before them teach, also in a fit that was resumed."""
    fit = fit_of(tmp_path, steps=4)
    plan = fit.recipe.fit.model_copy(update={"grids": [4, 6]})
    fit = replace(fit, recipe=fit.recipe.model_copy(update={"fit": plan}))
    state = fit.begin()
    for each in fit.steps(state):
        if each.is_teaching and each.stage == 1:
            next(each.kan.parameters()).data.fill_(math.inf)
        if not each.is_teaching and each.step == 1:
            break
    state = end_of(fit, decode(encode(state)))
    assert state.lessons is not None
    assert state.lessons.isfinite().all()
    assert fit.notes(state) == [
        "grid 6: the fit without the promise ended early in numbers that are not finite; "
        "the best network before that teaches"
    ]


def test_both_halves_count_as_work(tmp_path: Path) -> None:
    """The share of the steps that are done rises to 1, and is a half at the end of the free fit."""
    fit = fit_of(tmp_path, steps=4)
    shares = [(fit.share_done(state), state.lessons is None) for state in fit.steps(fit.begin())]
    assert [share for share, _ in shares] == sorted(share for share, _ in shares)
    assert max(share for share, is_free in shares if is_free) == 0.5
    assert shares[-1][0] == 1.0


def test_lessons_of_classes_are_probabilities() -> None:
    """A number added to all scores of a row changes no distance, which is least where the probabilities are equal."""
    scores, other = torch.tensor([[1.0, -2.0], [0.5, 0.0]]), torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    shifted = scores + torch.tensor([[3.0], [-1.0]])
    torch.testing.assert_close(distance("classification", shifted, scores), distance("classification", scores, scores))
    assert distance("classification", scores, scores) < distance("classification", other, scores)
    torch.testing.assert_close(distance("regression", scores, other), (scores - other).square().mean())
    weights = torch.tensor([2.0, 0.0])
    first = distance("regression", scores[:1], other[:1])
    torch.testing.assert_close(distance("regression", scores, other, weights), first)
