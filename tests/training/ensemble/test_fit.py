"""The joint fit: each member gets what it would get alone, and rows choose only for the member that left them out."""

import copy

import numpy as np
import pytest
import torch

from kan_model import KAN, KANConfig
from training.data.samples import Samples
from training.ensemble.fit import DealtRows, begin_members, fit_members, in_fold_answers, out_of_fold_answers
from training.ensemble.side_by_side import separate
from training.fitting.apart import Apart
from training.fitting.fit import FitState, TrainingDiverged
from training.recipe.fit_sections import FitSection

PLAN = FitSection(grids=(4,), steps=6, batch_rows=16, learning_rate=0.02, schedule="warm-up", weight_decay=0.1)


def rows(members: int, count: int = 60) -> DealtRows:
    """Rows of a smooth function, dealt in turn."""
    x = torch.rand(count, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    y = torch.sin(3 * x[:, :1]) + x[:, 1:] ** 2
    return DealtRows(Samples(x, y), torch.arange(count) % members, members)


def start(members: int) -> FitState:
    """Members of different seeds."""
    return begin_members([KAN(KANConfig((2, 3, 1), grid_size=4), seed=seed) for seed in range(members)])


def run(state: FitState, dealt: DealtRows, plan: FitSection = PLAN) -> FitState:
    """The state at the end."""
    for _ in fit_members(state, dealt, plan, "regression"):
        pass
    return state


def test_a_fit_learns_and_keeps_its_best_step() -> None:
    """The best loss is the lowest of the history, and that of the best network's out-of-fold answers."""
    dealt = rows(3)
    state = run(start(3), dealt, PLAN.model_copy(update={"steps": 60}))
    assert state.best_loss == min(record.validation_loss for record in state.history)
    answered = out_of_fold_answers(state.best, dealt)
    assert float((answered - dealt.samples.y).square().mean()) == pytest.approx(state.best_loss)
    assert state.best_loss < 0.1 * float(dealt.samples.y.var())
    assert len(state.history) <= 40


def test_rows_are_answered_by_one_member_that_left_them_out_and_by_one_that_did_not() -> None:
    """Row by row the answers of the members alone, in their order."""
    dealt, state = rows(3), start(3)
    alone = [member(dealt.samples.x) for member in separate(state.kan, 3)]
    left_out, trained = out_of_fold_answers(state.kan, dealt), in_fold_answers(state.kan, dealt)
    for row, fold in enumerate(dealt.folds.tolist()):
        torch.testing.assert_close(left_out[row], alone[fold][row])
        torch.testing.assert_close(trained[row], alone[(fold + 1) % 3][row])


def test_a_row_never_changes_the_member_that_leaves_it_out() -> None:
    """Other targets in fold 0 leave member 0 as it is, to the bit, and change the others."""
    dealt = rows(3)
    y = torch.where(dealt.folds[:, None] == 0, dealt.samples.y + 5, dealt.samples.y)
    other = DealtRows(Samples(dealt.samples.x, y), dealt.folds, 3)
    one, two = (separate(run(start(3), each).kan, 3) for each in (dealt, other))
    torch.testing.assert_close(one[0].layers[0].coefficients, two[0].layers[0].coefficients, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(one[1].layers[0].coefficients, two[1].layers[0].coefficients, rtol=1e-2)


def test_a_stopped_fit_goes_on_to_the_same_networks() -> None:
    """From a copy of the state after each epoch."""
    dealt = rows(2)
    whole = run(start(2), dealt)
    steps = fit_members(start(2), dealt, PLAN, "regression")
    states = [copy.deepcopy(next(steps)) for _ in range(4)]
    for halfway in states:
        resumed = run(halfway, dealt)
        assert torch.equal(resumed.best.layers[0].coefficients, whole.best.layers[0].coefficients)
        assert resumed.history == whole.history


def test_a_fit_that_only_overfits_ends_early() -> None:
    """On targets without any law it stops at a third of its steps, or at twice its best one."""
    dealt = rows(3, count=24)
    noise = torch.randn(dealt.samples.y.shape, generator=torch.Generator().manual_seed(1))
    plan = PLAN.model_copy(update={"steps": 90, "learning_rate": 0.1, "weight_decay": 0.0})
    members = begin_members([KAN(KANConfig((2, 8, 1), grid_size=4), seed=seed) for seed in range(3)])
    state = run(members, DealtRows(Samples(dealt.samples.x, noise), dealt.folds, 3), plan)
    best = min(state.history, key=lambda record: record.validation_loss)
    assert state.history[-1].train_loss < best.validation_loss
    assert state.history[-1].step <= max(33, 2 * best.step + 3) < 90


def test_classes_are_fitted_too() -> None:
    """The out-of-fold answers are right more often than the largest class."""
    x = torch.rand(120, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()
    dealt = DealtRows(Samples(x, y), torch.arange(120) % 2, 2)
    state = begin_members([KAN(KANConfig((2, 3, 3), grid_size=4), seed=seed) for seed in range(2)])
    for _ in fit_members(state, dealt, PLAN.model_copy(update={"steps": 40}), "classification"):
        pass
    assert state.history[-1].validation_score > 0.8


def test_finer_grids_go_on_from_the_best_step() -> None:
    """The second grid has its own records, and the networks have its size."""
    dealt = rows(2)
    state = run(start(2), dealt, PLAN.model_copy(update={"grids": (4, 8), "steps": 5}))
    assert [record.grid_size for record in state.history] == [4] * 5 + [8] * 5
    assert [layer.grid_size for layer in state.kan.layers] == [8, 8]


def test_hidden_layers_keep_their_grids_if_asked() -> None:
    """Only the first layer gets finer, and the fit goes on."""
    dealt, state = rows(2), start(2)
    plan = PLAN.model_copy(update={"grids": (4, 8), "steps": 5})
    for _ in fit_members(state, dealt, plan, "regression", only_inputs=True):
        pass
    assert [layer.grid_size for layer in state.kan.layers] == [8, 4]
    assert state.history[-1].train_loss < state.history[0].train_loss


def test_smoothness_bends_curves_less() -> None:
    """A large penalty leaves smaller second differences."""
    dealt = rows(2)
    rough, smooth = (
        run(start(2), dealt, PLAN.model_copy(update={"steps": 40, "smoothness": value})).kan for value in (0.0, 1.0)
    )
    bends = [
        float(np.square(np.diff(kan.layers[0].coefficients.detach().numpy(), n=2)).sum()) for kan in (rough, smooth)
    ]
    assert bends[1] < 0.5 * bends[0]


def test_numbers_that_are_not_finite_end_the_fit() -> None:
    """From the first epoch on nothing can be kept."""
    with pytest.raises(TrainingDiverged, match="smaller learning_rate"):
        run(start(2), rows(2), PLAN.model_copy(update={"learning_rate": 1e30}))


def test_each_fold_has_the_step_that_the_other_folds_choose() -> None:
    """By hand: of all evaluations the one with the lowest loss of the rows of other folds gives the fold's answers."""
    dealt, members = rows(3), [KAN(KANConfig((2, 3, 1), grid_size=4), seed=seed) for seed in range(3)]
    state = begin_members(members, Apart.begin(3, 60, 1, dealt.samples.x))
    plan = PLAN.model_copy(update={"steps": 12, "learning_rate": 0.3})
    seen = [out_of_fold_answers(state.kan, dealt)]
    seen += [out_of_fold_answers(each.kan, dealt) for each in fit_members(state, dealt, plan, "regression")]
    assert state.apart is not None
    for fold in range(3):
        others, own = dealt.folds != fold, dealt.folds == fold
        losses = [float((answered - dealt.samples.y)[others].square().mean()) for answered in seen]
        torch.testing.assert_close(state.apart.answers[own], seen[int(np.argmin(losses))][own])
    assert len(set(state.apart.steps.tolist())) > 1


def test_a_fit_ends_early_once_every_fold_has_overfitted() -> None:
    """Noise learned by heart: it ends early, and not before it would without the steps of the folds."""
    dealt = rows(3, 30)
    targets = torch.randn(30, 1, generator=torch.Generator().manual_seed(0))
    noise = DealtRows(Samples(dealt.samples.x, targets), dealt.folds, 3)
    plan = FitSection(grids=(8,), steps=400, batch_rows=30, learning_rate=0.05)
    members = [KAN(KANConfig((2, 8, 1), grid_size=8), seed=seed) for seed in range(3)]
    plain, apart = (
        run(begin_members(members, each), noise, plan) for each in (None, Apart.begin(3, 30, 1, dealt.samples.x))
    )
    assert plain.history[-1].step <= apart.history[-1].step < 400
    assert apart.apart is not None
    assert bool(apart.apart.ended.all())
    assert float(plain.best_loss) >= float(apart.best_loss)
