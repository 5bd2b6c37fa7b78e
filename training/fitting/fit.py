"""Train a KAN on one grid after another, or any other network as it is, and keep what the validation rows like best."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from torch import nn

from kan_model import KAN, refine_grid
from kan_model.analysis.edge_values import first_flaw
from training.data.objective import Task, loss
from training.data.samples import Samples, check_samples
from training.errors import TrainingError
from training.fitting.evaluation import answers
from training.fitting.grids import first_grid, next_grid, parameters_on
from training.fitting.least_squares import check_parameters
from training.fitting.optimizers import Objective, optimizer_for
from training.fitting.record import Record, evaluate
from training.recipe.fit_sections import AdaptSection, FitSection, SparsifySection

Network = TypeVar("Network", bound=nn.Module)


class TrainingDiverged(TrainingError):
    """The loss is not finite and there is no earlier network to fall back on."""


@dataclass
class FitState:
    """A fit between two steps: all that is needed to go on as if it had never stopped.

    Attributes:
        kan: The network as it is now.
        best: The network with the lowest validation loss so far, whatever its grid; before any look the one given.
        stage: Which of the plan's grids is being fitted.
        step: Steps done on it.
        optimizer: State of the optimizer; empty at the start of a stage.
        history: One record for every look at the validation rows.
        diverged: Grid sizes whose fit ended early, in numbers that are not finite.
    """

    kan: KAN
    best: KAN
    best_loss: float = math.inf
    stage: int = 0
    step: int = 0
    optimizer: dict[str, Any] = field(default_factory=dict)
    history: list[Record] = field(default_factory=list)
    diverged: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class ModuleFit(Generic[Network]):
    """What :func:`fit_module` found.

    Attributes:
        best: The network with the lowest validation loss.
        history: One record for every look at the validation rows, the first of them before any step.
    """

    best: Network
    history: tuple[Record, ...]


def fit(kan: KAN, train: Samples, validation: Samples, plan: FitSection, task: Task) -> FitState:
    """Run :func:`fit_steps` to its end; ``.best`` of the result is the trained network."""
    state = begin(kan, plan)
    for _ in fit_steps(state, train, validation, plan, task):
        pass
    return state


def begin(kan: KAN, plan: FitSection, train: Samples | None = None, adapt: AdaptSection | None = None) -> FitState:
    """The state before the first step; the network given is left as it is.

    Args:
        kan: The network.
        plan: Of which the first grid is taken.
        train: Rows that its grids follow; needed with ``adapt`` only.
        adapt: As :func:`fit_steps` gets it; of a network that begins, the grids of the inputs alone move.
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
    task: Task,
    sparsify: SparsifySection | None = None,
    adapt: AdaptSection | None = None,
) -> Iterator[FitState]:
    """Fit step by step, yielding the state after each: an epoch of Adam, up to ten iterations of LBFGS, one of
    Levenberg and Marquardt.

    The same plan and data give the same networks, also when a saved state is gone on with. Each grid starts from
    the best network so far. A step that ends in numbers that are not finite ends its grid; the best network stays.
    The network given counts too, as it came and on the first grid: no worse one on the validation rows is the best.

    Args:
        state: From :func:`begin` or a saved one; it is changed and yielded again.
        train: Rows that the weights follow.
        validation: Rows that choose the best network.
        plan: Optimizer, grids, steps per grid and so on.
        task: What the loss is.
        sparsify: What edges cost beside it; losses in the history, and so the choice of the best, are without it.
        adapt: How grids follow the training rows before each stage; None: they are refined only. What a network loses
            by it does not count: the best stays the best until a step finds a better one.

    Raises:
        FitRefused: samples that :func:`training.data.samples.check_samples` refuses; more than 4096 parameters on the
            finest grid, or sparsify, under Levenberg–Marquardt; a network whose values no grid can follow.
        TrainingDiverged: the loss was not finite from the first step on.
    """
    check_samples(state.kan, train, task, "training")
    check_samples(state.kan, validation, task, "validation")
    goal = Objective(task, sparsify)
    if plan.optimizer == "levenberg-marquardt":
        check_parameters(parameters_on(state.kan, plan.grids[-1]), plan.grids[-1])
    if _is_new(state):
        _count_start(state, train, validation, task)
    while state.stage < len(plan.grids):
        optimizer = optimizer_for(state.kan, train, plan, goal)
        if state.optimizer:
            optimizer.load_state_dict(state.optimizer)
        while state.step < plan.steps:
            done = optimizer.advance((state.stage, state.step))
            record = evaluate(state.kan, (state.kan.layers[0].grid_size, done.step), done.train_loss, validation, task)
            if record is None:
                state.step, state.kan = plan.steps, copy.deepcopy(state.best)
                state.diverged.append(plan.grids[state.stage])
                break
            state.history.append(record)
            if record.validation_loss < state.best_loss:
                state.best_loss, state.best = record.validation_loss, copy.deepcopy(state.kan)
            state.step = plan.steps if done.at_end else done.step
            state.optimizer = optimizer.state_dict()
            yield state
        if not state.history:
            flaw = _flaw(state.best, train) or f"wanted {_remedy(plan)}"
            raise TrainingDiverged(f"the loss is not finite on grid {plan.grids[state.stage]}; {flaw}")
        state.stage, state.step, state.optimizer = state.stage + 1, 0, {}
        if state.stage < len(plan.grids):
            state.kan = next_grid(state.best, plan.grids[state.stage], train.x, adapt)
        yield state


def _is_new(state: FitState) -> bool:
    """Whether nothing was looked at so far; a state that was kept has its best network."""
    return not state.history and state.best_loss == math.inf


def _count_start(state: FitState, train: Samples, validation: Samples, task: Task) -> None:
    """Look at the network given, which the state has as its best, and at what it is on the first grid."""
    given = state.best
    for network in (state.kan, given):
        record = _look_before(network, train, validation, task)
        if record is not None and record.validation_loss < state.best_loss:
            state.best_loss, state.best = record.validation_loss, copy.deepcopy(network)


def fit_module(
    network: Network,
    train: Samples,
    validation: Samples,
    plan: FitSection,
    task: Task,
    check: Callable[[], None] | None = None,
    looked: Callable[[Record], None] | None = None,
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
        looked: Called with each record as it comes.

    Raises:
        FitRefused: samples that :func:`training.data.samples.check_samples` refuses; more than 4096 parameters under
            Levenberg–Marquardt.
        TrainingDiverged: the loss of the network as it came is not finite.
    """
    check_samples(network, train, task, "training")
    check_samples(network, validation, task, "validation")
    current = copy.deepcopy(network)
    optimizer = optimizer_for(current, train, plan, Objective(task))
    record = _look_before(current, train, validation, task)
    if record is None:
        flaw = _flaw(network, train) or "wanted rows and targets of a usual size"
        raise TrainingDiverged(f"the loss is not finite before the first step; {flaw}")
    best, lowest, history, at_end = network, math.inf, [], False
    while record is not None:
        history.append(record)
        if looked is not None:
            looked(record)
        if record.validation_loss < lowest:
            best, lowest = copy.deepcopy(current), record.validation_loss
        if record.step >= plan.steps or at_end:
            break
        if check is not None:
            check()
        done = optimizer.advance((0, record.step))
        record, at_end = evaluate(current, (0, done.step), done.train_loss, validation, task), done.at_end
    return ModuleFit(best, tuple(history))


def _look_before(network: nn.Module, train: Samples, validation: Samples, task: Task) -> Record | None:
    """At a network before its first step."""
    return evaluate(network, (0, 0), float(loss(task, answers(network, train.x), train.y)), validation, task)


def _flaw(network: nn.Module, train: Samples) -> str:
    return (isinstance(network, KAN) and first_flaw(network, train.x)) or ""


def _remedy(plan: FitSection) -> str:
    if plan.optimizer == "levenberg-marquardt":
        return "rows and targets of a usual size"
    return f"a smaller learning_rate (now {plan.learning_rate:g}) or scaled rows and targets"
