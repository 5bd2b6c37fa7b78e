"""Train a KAN on one grid after another, or any other network, and keep the one with the lowest validation loss."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar

from torch import nn

from kan_model import KAN, refine_grid
from kan_model.analysis.edge_values import first_flaw
from training.data.objective.loss import loss
from training.data.objective.loss_function import Loss
from training.data.samples import Samples, check_samples
from training.errors import TrainingError
from training.fitting.evaluation import answers
from training.fitting.grids import first_grid, next_grid, parameters_on
from training.fitting.least_squares import check_parameters
from training.fitting.optimizers import Augment, Objective, Optimizer, optimizer_for
from training.fitting.record import Record, evaluate
from training.fitting.state import FitState as FitState
from training.recipe.fit_sections import AdaptSection, FitSection, SparsifySection

Network = TypeVar("Network", bound=nn.Module)


class TrainingDiverged(TrainingError):
    """The loss is not finite, and there is no earlier network to keep."""


@dataclass(frozen=True)
class ModuleFit(Generic[Network]):
    """The result of :func:`fit_module`.

    Attributes:
        best: The network with the lowest validation loss.
        history: One record per evaluation on the validation rows, the first before any step.
    """

    best: Network
    history: tuple[Record, ...]


def fit(kan: KAN, train: Samples, validation: Samples, plan: FitSection, task: Loss) -> FitState:
    """Run :func:`fit_steps` to its end; ``.best`` of the result is the trained network."""
    state = begin(kan, plan)
    for _ in fit_steps(state, train, validation, plan, task):
        pass
    return state


def begin(kan: KAN, plan: FitSection, train: Samples | None = None, adapt: AdaptSection | None = None) -> FitState:
    """The state before the first step.

    Args:
        kan: The network; it is not changed.
        plan: Its first grid is used.
        train: Rows that the grids follow; needed only with ``adapt``.
        adapt: As for :func:`fit_steps`. On the first grid only the grids of the inputs are adapted.

    Raises:
        ValueError: ``adapt`` without ``train``.
    """
    if train is None:
        if adapt is not None:
            raise ValueError("adapt without train; wanted the rows that grids follow")
        start = refine_grid(kan, plan.grids[0])
    else:
        start = first_grid(kan, plan.grids[0], train.x, adapt)
    return FitState(kan=start, best=copy.deepcopy(kan))


def fit_steps(
    state: FitState,
    train: Samples,
    validation: Samples,
    plan: FitSection,
    task: Loss,
    sparsify: SparsifySection | None = None,
    adapt: AdaptSection | None = None,
) -> Iterator[FitState]:
    """Fit in steps and yield the state after each step.

    A step is an epoch of Adam, up to ten iterations of LBFGS, or one iteration of Levenberg–Marquardt. The same plan
    and data give the same networks, also from a saved state. Each grid starts from the best network so far. If a step
    gives numbers that are not finite, its grid ends and the best network stays. The given network takes part, before
    and after the first refinement: the result is never worse than it on the validation rows.

    Args:
        state: From :func:`begin`, or a saved state; it is changed and yielded again and again.
        train: Training rows.
        validation: Rows that choose the best network.
        plan: Optimizer, grids, steps per grid and so on.
        task: The loss to minimize.
        sparsify: Penalty on edges, added to the loss. The losses in the history, and so the choice of the best
            network, are without it.
        adapt: How grids follow the training rows before each stage; None: they are only refined. Adapting may raise
            the loss of the current network; ``best`` is kept until a step finds a lower loss.

    Raises:
        FitRefused: samples that :func:`training.data.samples.check_samples` refuses; with Levenberg–Marquardt, more
            than 4096 parameters on the finest grid, or a penalty; a network whose values no grid can follow.
        TrainingDiverged: the loss was not finite from the first step on.
    """
    check_samples(state.kan, train, task, "training")
    check_samples(state.kan, validation, task, "validation")
    objective = Objective(task, sparsify, plan.smoothness)
    if plan.optimizer == "levenberg-marquardt":
        check_parameters(parameters_on(state.kan, plan.grids[-1]), plan.grids[-1])
    if not state.history and state.best_loss == math.inf:  # Nothing was evaluated; a saved state has a best loss.
        _count_start(state, train, validation, task)
    while state.stage < len(plan.grids):
        optimizer = optimizer_for(state.kan, train, plan, objective)
        if state.optimizer:
            optimizer.load_state_dict(state.optimizer)
        place = (state.stage, state.step)
        for step, record in _steps(state.kan, optimizer, place, plan.steps, validation, task):
            state.step = step
            state.history.append(record)
            if record.validation_loss < state.best_loss:
                state.best_loss, state.best = record.validation_loss, copy.deepcopy(state.kan)
            state.optimizer = optimizer.state_dict()
            yield state
        if state.step < plan.steps:
            state.kan = copy.deepcopy(state.best)
            state.diverged.append(plan.grids[state.stage])
        if not state.history:
            flaw = _flaw(state.best, train) or f"wanted {_remedy(plan)}"
            raise TrainingDiverged(f"the loss is not finite on grid {plan.grids[state.stage]}; {flaw}")
        state.stage, state.step, state.optimizer = state.stage + 1, 0, {}
        if state.stage < len(plan.grids):
            state.kan = next_grid(state.best, plan.grids[state.stage], train.x, adapt)
        yield state


def _count_start(state: FitState, train: Samples, validation: Samples, task: Loss) -> None:
    """Evaluate the given network and the same network on the first grid, and keep the better one as the best."""
    given = state.best
    for network in (state.kan, given):
        record = _evaluate_start(network, train, validation, task)
        if record is not None and record.validation_loss < state.best_loss:
            state.best_loss, state.best = record.validation_loss, copy.deepcopy(network)


def fit_module(
    network: Network,
    train: Samples,
    validation: Samples,
    plan: FitSection,
    task: Loss,
    check: Callable[[], None] | None = None,
    on_evaluation: Callable[[Record], None] | None = None,
    augment: Augment | None = None,
    *,
    stage: int = 0,
) -> ModuleFit[Network]:
    """Fit any network as :func:`fit_steps` fits a KAN on one grid. Parameters without a gradient are not changed.

    The given network takes part: the result is never worse than it on the validation rows. Numbers that are not finite
    end the fit.

    Args:
        network: A function of ``[rows, inputs]`` to ``[rows, outputs]``; it is not changed.
        train: Training rows.
        validation: Rows that choose the best network.
        plan: Optimizer, steps and so on; its grids are not used.
        task: The loss to minimize.
        check: Called after each evaluation; it may raise to end the fit.
        on_evaluation: Called with the record of each evaluation.
        augment: Makes the rows of each epoch of Adam from the training rows; None: they are the training rows.
        stage: How many fits of the same plan came before; each stage draws other batches and changes of rows.

    Raises:
        FitRefused: samples that :func:`training.data.samples.check_samples` refuses; more than 4096 parameters with
            Levenberg–Marquardt.
        TrainingDiverged: the loss of the given network is not finite.
    """
    check_samples(network, train, task, "training")
    check_samples(network, validation, task, "validation")
    current = copy.deepcopy(network)
    optimizer = optimizer_for(current, train, plan, Objective(task, smoothness=plan.smoothness, augment=augment))
    start = _evaluate_start(current, train, validation, task)
    if start is None:
        flaw = _flaw(network, train) or "wanted rows and targets of a usual size"
        raise TrainingDiverged(f"the loss is not finite before the first step; {flaw}")
    best, lowest, history = network, math.inf, []
    for _, record in chain([(0, start)], _steps(current, optimizer, (stage, 0), plan.steps, validation, task)):
        history.append(record)
        if on_evaluation is not None:
            on_evaluation(record)
        if record.validation_loss < lowest:
            best, lowest = copy.deepcopy(current), record.validation_loss
        if check is not None:
            check()
    return ModuleFit(best, tuple(history))


def _steps(
    network: nn.Module, optimizer: Optimizer, place: tuple[int, int], steps: int, validation: Samples, task: Loss
) -> Iterator[tuple[int, Record]]:
    """Go on from ``place`` (grid, steps done) to the end of the grid: the number of steps done, and the record.

    The number is ``steps`` if the optimizer finds no lower loss. Numbers that are not finite end the iteration early.
    """
    stage, step = place
    while step < steps:
        done = optimizer.advance((stage, step))
        record = evaluate(network, done.step, done.train_loss, validation, task)
        if record is None:
            return
        step = steps if done.at_end else done.step
        yield step, record


def _evaluate_start(network: nn.Module, train: Samples, validation: Samples, task: Loss) -> Record | None:
    """Evaluate a network before its first step."""
    return evaluate(network, 0, float(loss(task, answers(network, train.x), train.y, train.weights)), validation, task)


def _flaw(network: nn.Module, train: Samples) -> str:
    return (isinstance(network, KAN) and first_flaw(network, train.x)) or ""


def _remedy(plan: FitSection) -> str:
    if plan.optimizer == "levenberg-marquardt":
        return "rows and targets of a usual size"
    return f"a smaller learning_rate (now {plan.learning_rate:g}) or scaled rows and targets"
