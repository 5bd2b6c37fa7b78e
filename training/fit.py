"""Train a KAN, or any other network: full-batch LBFGS or mini-batch Adam, a KAN on one grid after another."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from kan_model import KAN, refine_grid
from kan_model.penalty import penalty
from training.config import FitSection, SparsifySection
from training.errors import TrainingError
from training.objective import Task, loss, score

# LBFGS iterations between two looks from outside (progress, checkpoint, interruption).
LBFGS_CHUNK = 10
# Rows of a batch that tell how large the edges are: each row is as many numbers as there are edges.
_PENALTY_ROWS = 1024

Network = TypeVar("Network", bound=nn.Module)


class TrainingDiverged(TrainingError):
    """The loss is not finite and there is no earlier network to fall back on."""


@dataclass(frozen=True)
class Samples:
    """Rows to learn from, as the network sees them.

    Attributes:
        x: ``[rows, inputs]``, imputed and scaled.
        y: int64 ``[rows]`` classes, or ``[rows, outputs]`` scaled targets.
    """

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Record:
    """One line of the loss curve, after ``step`` steps on this grid (0 where the network has none).

    Under Adam the training loss is the mean over the epoch's batches, as they came.
    """

    grid_size: int
    step: int
    train_loss: float
    validation_loss: float
    validation_score: float


@dataclass
class FitState:
    """A fit between two steps: all that is needed to go on as if it had never stopped.

    Attributes:
        kan: The network as it is now.
        best: The network with the lowest validation loss so far, whatever its grid.
        stage: Which of the plan's grids is being fitted.
        step: Steps done on it.
        optimizer: State of the optimizer; empty at the start of a stage.
        history: One record for every look at the validation rows.
    """

    kan: KAN
    best: KAN
    best_loss: float = math.inf
    stage: int = 0
    step: int = 0
    optimizer: dict[str, Any] = field(default_factory=dict)
    history: list[Record] = field(default_factory=list)


@dataclass(frozen=True)
class ModuleFit(Generic[Network]):
    """What :func:`fit_module` found.

    Attributes:
        best: The network with the lowest validation loss.
        history: One record for every look at the validation rows, the first of them before any step.
    """

    best: Network
    history: tuple[Record, ...]


@dataclass(frozen=True)
class _Goal:
    """What the optimizer follows: the loss of the task, and what edges cost."""

    task: Task
    sparsify: SparsifySection | None = None

    def with_price(self, value: Tensor, network: nn.Module, x: Tensor) -> Tensor:
        """The loss ``value`` and the price of the edges on the rows ``x``."""
        # A loss that is not finite ends the fit; the price of such a network has no answer.
        if self.sparsify is None or not torch.isfinite(value):
            return value
        assert isinstance(network, KAN)
        rows = x[:: -(-len(x) // _PENALTY_ROWS)]
        price = penalty(network, rows, l1=self.sparsify.l1, entropy=self.sparsify.entropy)
        return value + self.sparsify.penalty * price


def fit(kan: KAN, train: Samples, validation: Samples, plan: FitSection, task: Task) -> FitState:
    """Run :func:`fit_steps` to its end; ``.best`` of the result is the trained network."""
    state = begin(kan, plan)
    for _ in fit_steps(state, train, validation, plan, task):
        pass
    return state


def begin(kan: KAN, plan: FitSection) -> FitState:
    """The state before the first step; the network given is left as it is."""
    start = refine_grid(kan, plan.grids[0])
    return FitState(kan=start, best=copy.deepcopy(start))


def fit_steps(
    state: FitState,
    train: Samples,
    validation: Samples,
    plan: FitSection,
    task: Task,
    sparsify: SparsifySection | None = None,
) -> Iterator[FitState]:
    """Fit step by step, yielding the state after each: an epoch of Adam, or up to ten iterations of LBFGS.

    The same plan and data give the same networks, also when a saved state is gone on with. Each grid starts from
    the best network so far. A step that ends in numbers that are not finite ends its grid; the best network stays.

    Args:
        state: From :func:`begin` or a saved one; it is changed and yielded again.
        train: Rows that the weights follow.
        validation: Rows that choose the best network.
        plan: Optimizer, grids, steps per grid and so on.
        task: What the loss is.
        sparsify: What edges cost beside it; losses in the history, and so the choice of the best, are without it.

    Raises:
        TrainingDiverged: the loss was not finite from the first step on.
    """
    goal = _Goal(task, sparsify)
    while state.stage < len(plan.grids):
        optimizer = _optimizer(state.kan, plan)
        if state.optimizer:
            optimizer.load_state_dict(state.optimizer)
        while state.step < plan.steps:
            done, train_loss = _advance(state.kan, optimizer, train, plan, goal, (state.stage, state.step))
            record = _look(state.kan, (state.kan.layers[0].grid_size, done), train_loss, validation, task)
            if record is None:
                state.step = plan.steps
                break
            state.history.append(record)
            if record.validation_loss < state.best_loss:
                state.best_loss, state.best = record.validation_loss, copy.deepcopy(state.kan)
            state.step = done
            state.optimizer = optimizer.state_dict()
            yield state
        if not math.isfinite(state.best_loss):
            raise TrainingDiverged(
                f"the loss is not finite on grid {plan.grids[state.stage]}; wanted a smaller learning_rate "
                f"(now {plan.learning_rate:g}) or scaled inputs"
            )
        state.stage, state.step, state.optimizer = state.stage + 1, 0, {}
        if state.stage < len(plan.grids):
            state.kan = refine_grid(state.best, plan.grids[state.stage])
        yield state


def fit_module(
    network: Network,
    train: Samples,
    validation: Samples,
    plan: FitSection,
    task: Task,
    check: Callable[[], None] | None = None,
) -> ModuleFit[Network]:
    """Fit any network as :func:`fit_steps` fits a KAN on one grid; parameters that want no gradient stay.

    The network as it came counts too: no step that is worse on the validation rows takes its place. Numbers that are
    not finite end the fit.

    Args:
        network: ``[rows, inputs]`` to ``[rows, outputs]``; it is left as it is.
        train: Rows that the weights follow.
        validation: Rows that choose the best network.
        plan: Optimizer, steps and so on; its grids are not used.
        task: What the loss is.
        check: Called before each step; it may raise to end the fit.

    Raises:
        TrainingDiverged: the loss of the network as it came is not finite.
    """
    current = copy.deepcopy(network)
    optimizer = _optimizer(current, plan)
    with torch.no_grad():
        record = _look(current, (0, 0), float(loss(task, current(train.x), train.y)), validation, task)
    if record is None:
        raise TrainingDiverged("the loss is not finite before the first step; wanted rows and targets of a usual size")
    best, lowest, history = network, math.inf, []
    while record is not None:
        history.append(record)
        if record.validation_loss < lowest:
            best, lowest = copy.deepcopy(current), record.validation_loss
        if record.step >= plan.steps:
            break
        if check is not None:
            check()
        done, train_loss = _advance(current, optimizer, train, plan, _Goal(task), (0, record.step))
        record = _look(current, (0, done), train_loss, validation, task)
    return ModuleFit(best, tuple(history))


def _optimizer(network: nn.Module, plan: FitSection) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if plan.optimizer == "adam":
        return torch.optim.AdamW(parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay)
    return torch.optim.LBFGS(
        parameters,
        lr=plan.learning_rate,
        max_iter=LBFGS_CHUNK,
        max_eval=10 * LBFGS_CHUNK,
        history_size=20,
        tolerance_grad=1e-12,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )


def _advance(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Samples,
    plan: FitSection,
    goal: _Goal,
    place: tuple[int, int],
) -> tuple[int, float]:
    """One epoch or one chunk of iterations from ``place`` (stage, step); steps then done, and the training loss."""
    stage, step = place
    if isinstance(optimizer, torch.optim.LBFGS):
        chunk = min(LBFGS_CHUNK, plan.steps - step)
        optimizer.param_groups[0]["max_iter"] = chunk
        return step + chunk, _lbfgs_chunk(network, optimizer, train, goal)
    # Half a cosine per grid; computed from the step, so that nothing but the step needs saving.
    share = step / plan.steps
    optimizer.param_groups[0]["lr"] = plan.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)
    order = np.random.default_rng((plan.seed, stage, step)).permutation(len(train.x))
    return step + 1, _adam_epoch(network, optimizer, train, plan, goal, torch.from_numpy(order))


def _adam_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, train: Samples, plan: FitSection, goal: _Goal, order: Tensor
) -> float:
    total = 0.0
    for rows in torch.split(order, plan.batch_rows or len(order)):
        optimizer.zero_grad()
        x = train.x[rows]
        batch_loss = loss(goal.task, network(x), train.y[rows])
        torch.autograd.backward(goal.with_price(batch_loss, network, x))
        optimizer.step()
        total += float(batch_loss.detach()) * len(rows)
    return total / len(order)


def _lbfgs_chunk(network: nn.Module, optimizer: torch.optim.LBFGS, train: Samples, goal: _Goal) -> float:
    def closure() -> Tensor:
        optimizer.zero_grad()
        value = goal.with_price(loss(goal.task, network(train.x), train.y), network, train.x)
        torch.autograd.backward(value)
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return float(loss(goal.task, network(train.x), train.y))


def _look(
    network: nn.Module, place: tuple[int, int], train_loss: float, validation: Samples, task: Task
) -> Record | None:
    """Look at the validation rows at ``place`` (grid size, step); None where a number is not finite."""
    with torch.no_grad():
        outputs = network(validation.x)
        validation_loss = float(loss(task, outputs, validation.y))
    if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
        return None
    return Record(*place, train_loss, validation_loss, score(task, outputs, validation.y))
