"""Fit all members at once, and keep the step with the lowest loss of the out-of-fold answers."""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kan_model import KAN
from kan_model.monotone.adam import MonotoneAdamW
from training.data.objective.loss import loss, score
from training.data.objective.loss_function import Loss
from training.data.samples import Samples
from training.ensemble.lessons import with_lessons
from training.ensemble.side_by_side import side_by_side
from training.fitting.apart import Apart
from training.fitting.evaluation import answers
from training.fitting.fit import FitState, TrainingDiverged
from training.fitting.grids import next_grid
from training.fitting.record import Record
from training.fitting.schedule import rate_at
from training.fitting.smoothness import roughness
from training.recipe.fit_sections import AdaptSection, FitSection

# At most this many evaluations a grid: each costs a third of an epoch.
_EVALUATIONS = 40
# A grid ends early once a third of its steps is done, its best step lies in the first half of those done, and the loss
# of the training rows is so small a part of the best one that the fit has begun to learn its rows by heart. Without the
# last condition fits of many rows would end in the noise of their large steps.
_LEAST_SHARE, _PATIENCE, _BY_HEART = 1 / 3, 2, 0.6
# A shorter memory of squared gradients than the usual 0.999, which would not forget the start within few steps.
_BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class DealtRows:
    """The rows that may train, each left out by one member.

    Attributes:
        samples: Inputs and targets.
        folds: int64 ``[rows]``, the member that does not train on the row.
        members: Number of members that are fitted now.
        first: The first of them; the rows of other members' folds train all of these.
        lessons: ``[rows, members, outputs]``, what a free fit of each member answers; None: targets alone teach.
    """

    samples: Samples
    folds: Tensor
    members: int
    first: int = 0
    lessons: Tensor | None = None

    @property
    def judging(self) -> Tensor:
        """The numbers of the rows that one of these members leaves out."""
        return ((self.folds >= self.first) & (self.folds < self.first + self.members)).nonzero()[:, 0]


def begin_members(members: Sequence[KAN], apart: Apart | None = None) -> FitState:
    """The state before the first step; its networks hold the members side by side.

    Args:
        members: The members.
        apart: Keeps the step of each fold that the rows of the other folds choose; None: no one asks for it.
    """
    start = side_by_side(members)
    return FitState(kan=start, best=copy.deepcopy(start), apart=apart)


def fit_members(
    state: FitState,
    rows: DealtRows,
    plan: FitSection,
    task: Loss,
    adapt: AdaptSection | None = None,
    *,
    only_inputs: bool = False,
) -> Iterator[FitState]:
    """Fit all members in epochs of Adam and yield the state after each epoch.

    The same plan and rows give the same networks, also from a saved state. Members do not influence each other, except
    that one step is kept for all. In the records the training loss is the mean over members, and the validation loss is
    that of the out-of-fold answers. An epoch that gives numbers that are not finite ends its grid; the best networks
    stay. A grid ends early if its best step lies far back.

    Args:
        state: From :func:`begin_members`, or a saved state; it is changed and yielded again and again.
        rows: The rows and their folds.
        plan: The plan of each member's fit; the optimizer must be adam.
        task: The loss to minimize.
        adapt: How grids follow the rows before each further grid; None: they are only refined.
        only_inputs: Whether the hidden layers keep their grids on each further grid.

    Raises:
        TrainingDiverged: the loss was not finite from the first epoch on.
    """
    if not state.history and state.best_loss == math.inf:
        record = _evaluate(state.best, rows, 0, math.nan, task, state.apart)
        state.best_loss = record.validation_loss if math.isfinite(record.validation_loss) else math.inf
    while state.stage < len(plan.grids):
        yield from _fit_grid(state, rows, plan, task)
        if not state.history:
            raise TrainingDiverged(
                f"the loss is not finite on grid {plan.grids[state.stage]}; wanted a smaller learning_rate (now "
                f"{plan.learning_rate:g}) or scaled rows and targets"
            )
        state.stage, state.step, state.optimizer = state.stage + 1, 0, {}
        if state.stage < len(plan.grids):
            grid_size = plan.grids[state.stage]
            state.kan = next_grid(state.best, grid_size, rows.samples.x, adapt, only_inputs=only_inputs)
        yield state


def _fit_grid(state: FitState, rows: DealtRows, plan: FitSection, task: Loss) -> Iterator[FitState]:
    adam = _MembersAdam(state.kan, rows, plan, task)
    if state.optimizer:
        adam.torch.load_state_dict(state.optimizer)
    every = -(-plan.steps // _EVALUATIONS)
    while state.step < plan.steps and not _is_past_its_best(state, plan):
        train_loss = adam.run_epoch(state.stage, state.step)
        is_due = (state.step + 1) % every == 0 or state.step + 1 == plan.steps
        record = _evaluate(state.kan, rows, state.step + 1, train_loss, task, state.apart) if is_due else None
        if not math.isfinite(train_loss) or (record is not None and not math.isfinite(record.validation_loss)):
            state.kan = copy.deepcopy(state.best)
            state.diverged.append(plan.grids[state.stage])
            return
        state.step += 1
        if record is not None:
            state.history.append(record)
            if record.validation_loss < state.best_loss:
                state.best_loss, state.best = record.validation_loss, copy.deepcopy(state.kan)
        state.optimizer = adam.torch.state_dict()
        yield state


def _is_past_its_best(state: FitState, plan: FitSection) -> bool:
    """Whether the loss of the out-of-fold answers has long stopped falling on this grid, and the fit overfits.

    Where each fold has a step of its own, it must have stopped for each of them, by the rows of the others.
    """
    of_grid = [record for record in state.history if record.grid_size == plan.grids[state.stage]]
    if not of_grid:
        return False
    best = min(of_grid, key=lambda record: record.validation_loss)
    train_loss = state.history[-1].train_loss
    is_past = _is_past(state.step, train_loss, plan.steps, best.step, best.validation_loss)
    if (apart := state.apart) is None:
        return is_past
    each = zip(apart.steps.tolist(), apart.losses.tolist(), strict=True)
    apart.end_some(torch.tensor([_is_past(state.step, train_loss, plan.steps, *best_of) for best_of in each]))
    return is_past and bool((apart.ended | apart.losses.isinf()).all())


def _is_past(step: int, train_loss: float, steps: int, best_step: int, best_loss: float) -> bool:
    return train_loss <= _BY_HEART * best_loss and step >= max(_LEAST_SHARE * steps, _PATIENCE * best_step)


def _evaluate(
    network: KAN, rows: DealtRows, step: int, train_loss: float, task: Loss, apart: Apart | None = None
) -> Record:
    answered, judged = out_of_fold_answers(network, rows), rows.samples.take(rows.judging)
    if apart is not None:
        improved = apart.look(step, answered, judged, rows.folds[rows.judging] - rows.first, task)
        if improved and apart.lessons is not None:
            apart.lessons[:, improved] = answers_of_members(network, rows)[:, improved]
    validation_loss = float(loss(task, answered, judged.y, judged.weights))
    validation_score = score(task, answered, judged.y, judged.weights)
    return Record(network.layers[0].grid_size, step, train_loss, validation_loss, validation_score)


def out_of_fold_answers(network: KAN, rows: DealtRows) -> Tensor:
    """``[judging rows, outputs]``: each row's answer by the member that did not train on it.

    Args:
        network: The members side by side.
        rows: The rows and their folds.
    """
    return _answers_of_one(network, rows, 0)


def in_fold_answers(network: KAN, rows: DealtRows) -> Tensor:
    """``[judging rows, outputs]``: each row's answer by another member, which did train on it. Needs two members."""
    return _answers_of_one(network, rows, 1)


def answers_of_members(network: KAN, rows: DealtRows) -> Tensor:
    """``[rows, members, outputs]``: each row's answer by each member."""
    return answers(network, rows.samples.x).view(len(rows.folds), rows.members, -1)


def _answers_of_one(network: KAN, rows: DealtRows, further: int) -> Tensor:
    """Each row's answer by the member so many places further than the one that leaves the row out."""
    some = rows.judging
    every = answers(network, rows.samples.x[some]).view(len(some), rows.members, -1)
    return every[torch.arange(len(some)), (rows.folds[some] - rows.first + further) % rows.members]


class _MembersAdam:
    """AdamW over batches of rows; the biases of nodes do not decay."""

    def __init__(self, network: KAN, rows: DealtRows, plan: FitSection, task: Loss) -> None:
        self._network, self._rows, self._plan, self._task = network, rows, plan, task
        named = list(network.named_parameters())
        biases = [parameter for name, parameter in named if name.endswith("bias")]
        others = [parameter for name, parameter in named if not name.endswith("bias")]
        groups = [{"params": others, "weight_decay": plan.weight_decay}, {"params": biases, "weight_decay": 0.0}]
        self.torch = MonotoneAdamW(network, groups, lr=plan.learning_rate, betas=_BETAS, fused=True)

    def run_epoch(self, stage: int, step: int) -> float:
        """One pass over the rows; gives the mean loss over members and rows, each batch before its step."""
        plan, count = self._plan, len(self._rows.folds)
        order = torch.from_numpy(np.random.default_rng((plan.seed, stage, step)).permutation(count))
        batches = torch.split(order, plan.batch_rows or count)
        losses, counted = [], 0
        for place, batch in enumerate(batches):
            rate = plan.learning_rate * rate_at(plan.schedule, (step + place / len(batches)) / plan.steps)
            for group in self.torch.param_groups:
                group["lr"] = rate
            mean_loss = self._step_on(batch)
            if mean_loss is not None:
                losses.append(mean_loss * len(batch))
                counted += len(batch)
        return float(torch.stack(losses).sum()) / counted if losses else math.nan

    def _step_on(self, batch: Tensor) -> Tensor | None:
        """Take one step; None if no member trains on any row of the batch."""
        members = self._rows.members
        # The pairs of a row and a member that trains on it.
        left_out_by = self._rows.folds[batch][:, None] - self._rows.first
        row, member = (left_out_by != torch.arange(members)).nonzero(as_tuple=True)
        if len(row) == 0:
            return None
        answered = self._network(self._rows.samples.x[batch]).view(len(batch), members, -1)
        samples = self._rows.samples.take(batch[row])
        smoothing = self._plan.label_smoothing
        mean_loss = loss(self._task, answered[row, member], samples.y, samples.weights, label_smoothing=smoothing)
        self.torch.zero_grad()
        whole = mean_loss
        if (lessons := self._rows.lessons) is not None:
            taught = lessons[batch[row], member]
            whole = with_lessons(whole, self._task, answered[row, member], taught, samples.weights)
        whole = whole * members  # Each gets the gradient that it would get alone.
        if self._plan.smoothness > 0:
            whole = whole + self._plan.smoothness * roughness(self._network)
        torch.autograd.backward(whole)
        self.torch.step()
        return mean_loss.detach()
