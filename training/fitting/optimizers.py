"""Optimizers with one interface: mini-batch Adam, full-batch LBFGS, Levenberg–Marquardt."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from kan_model import KAN
from kan_model.analysis.penalty import unchecked_penalty
from kan_model.monotone.adam import MonotoneAdamW
from kan_model.splines.edge_sums import is_plain
from training.data.objective.loss import loss
from training.data.objective.loss_function import Loss
from training.data.samples import Samples
from training.errors import FitRefused
from training.fitting.least_squares import LevenbergMarquardt
from training.fitting.on_rows import repeated_answers
from training.fitting.record import Advance
from training.fitting.schedule import rate_at
from training.fitting.smoothness import roughness
from training.recipe.fit_sections import FitSection, SparsifySection

# LBFGS iterations per advance; between two advances are progress, checkpoint and interruption.
LBFGS_CHUNK = 10
# Changes rows ``[rows, inputs]`` at random, for one epoch.
Augment: TypeAlias = Callable[[Tensor, np.random.Generator], Tensor]
# The most rows of a batch for which the penalty is computed: each row takes one number per edge.
_PENALTY_ROWS = 1024


class Optimizer(Protocol):
    """Changes the weights of one network. Its state between two steps can be saved and loaded."""

    def advance(self, place: tuple[int, int]) -> Advance:
        """Do the next step or steps from ``place`` (index of the grid in the plan, steps done on it)."""

    def state_dict(self) -> dict[str, Any]:
        """The state to save. After loading it, the next steps are the same as without the stop."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a saved state."""


@dataclass(frozen=True)
class Objective:
    """What the optimizer minimizes: the loss of the task plus the penalties on edges and on curves that bend.

    With ``augment``, which is for Adam, each epoch sees other rows in place of the training rows.
    """

    task: Loss
    sparsify: SparsifySection | None = None
    smoothness: float = 0.0
    augment: Augment | None = None

    def with_penalty(self, value: Tensor, network: nn.Module, x: Tensor) -> Tensor:
        """The loss ``value`` plus the penalties for the rows ``x``; an MLP has no curves."""
        if self.smoothness > 0 and isinstance(network, KAN):
            value = value + self.smoothness * roughness(network)
        if self.sparsify is None:
            return value
        assert isinstance(network, KAN)
        rows = x[:: -(-len(x) // _PENALTY_ROWS)]
        edges = unchecked_penalty(network, rows, l1=self.sparsify.l1, entropy=self.sparsify.entropy)
        return value + self.sparsify.penalty * edges


def optimizer_for(network: nn.Module, train: Samples, plan: FitSection, objective: Objective) -> Optimizer:
    """The plan's optimizer, for the parameters that have a gradient.

    Raises:
        FitRefused: too many parameters for Levenberg–Marquardt, or a penalty, which is no sum of squares.
    """
    if plan.optimizer == "levenberg-marquardt":
        if objective.sparsify is not None:
            raise FitRefused("levenberg-marquardt cannot add a penalty to the loss; to sparsify, wanted lbfgs or adam")
        return LevenbergMarquardt(network, train, objective.task)
    return (_Adam if plan.optimizer == "adam" else _LBFGS)(network, train, plan, objective)


def _free(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


class _Adam:
    """An advance is an epoch of mini-batches. The learning rate falls by half a cosine on each grid."""

    def __init__(self, network: nn.Module, train: Samples, plan: FitSection, objective: Objective) -> None:
        self._network, self._train, self._plan, self._objective = network, train, plan, objective
        self._torch = MonotoneAdamW(
            network, _free(network), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=not is_plain()
        )
        # One batch of all rows needs no order.
        is_whole = (plan.batch_rows or len(train.x)) >= len(train.x) and not is_plain() and objective.augment is None
        self._answer_all = repeated_answers(network, train.x) if is_whole else None

    def state_dict(self) -> dict[str, Any]:
        return self._torch.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._torch.load_state_dict(state_dict)

    def advance(self, place: tuple[int, int]) -> Advance:
        plan, (stage, step) = self._plan, place
        self._set_rate(step / plan.steps)
        if self._answer_all is not None:
            return Advance(step + 1, float(self._step(self._answer_all(), self._train)))
        count, generator = len(self._train.x), np.random.default_rng((plan.seed, stage, step))
        order = torch.from_numpy(generator.permutation(count))
        train = self._train if (augment := self._objective.augment) is None else self._augmented(augment, generator)
        batches = torch.split(order.to(self._train.x.device), plan.batch_rows or count)
        losses_of_batches = []
        for number, rows in enumerate(batches):
            if plan.schedule != "cosine":  # It changes from batch to batch: 5 % of the steps may be less than an epoch.
                self._set_rate((step + number / len(batches)) / plan.steps)
            losses_of_batches.append(self._step_on(train.take(rows)))
        # Read once at the end of the epoch: each reading waits for a GPU to finish its work.
        losses = torch.stack(losses_of_batches).tolist()
        return Advance(step + 1, sum(value * len(rows) for value, rows in zip(losses, batches, strict=True)) / count)

    def _set_rate(self, share: float) -> None:
        """The learning rate is computed from the step, so a saved fit needs only the step."""
        self._torch.param_groups[0]["lr"] = self._plan.learning_rate * rate_at(self._plan.schedule, share)

    def _augmented(self, augment: Augment, generator: np.random.Generator) -> Samples:
        return replace(self._train, x=augment(self._train.x, generator))

    def _step_on(self, batch: Samples) -> Tensor:
        return self._step(self._network(batch.x), batch)

    def _step(self, outputs: Tensor, batch: Samples) -> Tensor:
        """Do one step; returns the loss before it, without the penalty."""
        smoothing = self._plan.label_smoothing
        batch_loss = loss(self._objective.task, outputs, batch.y, batch.weights, label_smoothing=smoothing)
        self._torch.zero_grad()
        torch.autograd.backward(self._objective.with_penalty(batch_loss, self._network, batch.x))
        self._torch.step()
        return batch_loss.detach()


class _LBFGS:
    """An advance is a chunk of iterations, each on all rows.

    A line search turns back from numbers that are not finite. A chunk may still end in such numbers, for example if a
    product of gradients is too large for float32. Then the chunk is repeated from its start with an empty history.
    """

    def __init__(self, network: nn.Module, train: Samples, plan: FitSection, objective: Objective) -> None:
        self._network, self._train, self._plan, self._objective = network, train, plan, objective
        self._answers = repeated_answers(network, train.x)
        self._first: Tensor | None = None
        self._torch = torch.optim.LBFGS(
            _free(network),
            lr=plan.learning_rate,
            max_iter=LBFGS_CHUNK,
            max_eval=10 * LBFGS_CHUNK,
            history_size=20,
            tolerance_grad=1e-12,
            tolerance_change=1e-14,
            line_search_fn="strong_wolfe",
        )

    def state_dict(self) -> dict[str, Any]:
        return self._torch.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._torch.load_state_dict(state_dict)

    def advance(self, place: tuple[int, int]) -> Advance:
        _, step = place
        chunk = min(LBFGS_CHUNK, self._plan.steps - step)
        self._torch.param_groups[0]["max_iter"] = chunk
        before = [parameter.detach().clone() for parameter in _free(self._network)]
        remembers = bool(self._torch.state)
        train_loss = self._chunk()
        if remembers and not math.isfinite(train_loss):
            self._torch.state.clear()
            with torch.no_grad():
                for parameter, values in zip(_free(self._network), before, strict=True):
                    parameter.copy_(values)
            train_loss = self._chunk()
        return Advance(step + chunk, train_loss)

    def _chunk(self) -> float:
        self._first = None
        self._torch.step(self._closure)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            return float(self._loss())

    def _closure(self) -> Tensor:
        self._torch.zero_grad()
        value = self._objective.with_penalty(self._loss(), self._network, self._train.x)
        torch.autograd.backward(value)
        gradients = [p.grad for p in _free(self._network) if p.grad is not None]
        if torch.isfinite(value) and all(torch.isfinite(gradient).all() for gradient in gradients):
            self._first = value.detach() if self._first is None else self._first
            return value
        # A flat value above the start of the chunk makes the line search turn back; it would accept NaN as lower.
        for gradient in gradients:
            gradient.zero_()
        most = torch.finfo(value.dtype).max
        return torch.full_like(value, most) if self._first is None else (10 * self._first).clamp(max=most)

    def _loss(self) -> Tensor:
        return loss(self._objective.task, self._answers(), self._train.y, self._train.weights)
