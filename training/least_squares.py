"""Levenberg–Marquardt: the fit of a small network to numbers, many digits closer than first-order methods in less time.

Each step solves a linear least-squares problem in all parameters at once. A spline's coefficients enter its edge
linearly, so that the problem is nearly that; LBFGS, which knows one direction at a time, takes thousands of steps.
"""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from training.fit import ModuleFit, Network, Record, Samples, TrainingDiverged
from training.objective import score

# Its normal equations are a square of so many numbers.
MOST_PARAMETERS = 4096
# Numbers of the Jacobian that are made at a time.
_CHUNK_NUMBERS = 2**22
_FIRST_DAMPING, _LEAST_DAMPING = 1e-2, 1e-14
_LESS, _MORE = 1 / 5, 4.0
# A step is tried with ever more damping so often; then the fit is at its end.
_TRIES = 10


def fit_least_squares(network: Network, train: Samples, validation: Samples, *, steps: int) -> ModuleFit[Network]:
    """Fit numbers by the method of Levenberg and Marquardt, on all rows at once, in float64.

    The validation rows choose among the networks after each step, the one that came among them. Parameters that want
    no gradient stay. The damping is relative to the mean of the normal matrix's diagonal, so that parameters that no
    row touches stay too.

    Args:
        network: ``[rows, inputs]`` to ``[rows, outputs]``, each row by itself; it is left as it is.
        train: Rows that the weights follow; ``y`` are numbers.
        validation: Rows that choose the best network.
        steps: At most.

    Returns:
        The network, rounded once to its own type, and one record before the first step and after each.

    Raises:
        ValueError: classes instead of numbers, fewer steps than one, or more parameters than 4096.
        TrainingDiverged: the loss of the network as it came is not finite.

    Source: Marquardt, An algorithm for least-squares estimation of nonlinear parameters (1963).
    """
    exact = copy.deepcopy(network).double()
    free = {name: p.detach().clone() for name, p in exact.named_parameters() if p.requires_grad}
    count = sum(parameter.numel() for parameter in free.values())
    if not train.y.is_floating_point():
        raise ValueError("the targets are classes; wanted numbers: fit classes by lbfgs or adam")
    if steps < 1 or count > MOST_PARAMETERS:
        raise ValueError(f"{steps} steps of {count} parameters; wanted 1 or more, of at most {MOST_PARAMETERS}")
    problem = _Problem(exact, free, train.x.double(), train.y.double())
    place = torch.cat([parameter.flatten() for parameter in free.values()])
    residual = problem.residual(place)
    history = [_look(problem, place, 0, residual, validation)]
    if not math.isfinite(history[0].train_loss) or not math.isfinite(history[0].validation_loss):
        raise TrainingDiverged("the loss is not finite before the first step; wanted rows and targets of a usual size")
    best, lowest, damping = place, history[0].validation_loss, _FIRST_DAMPING
    for step in range(1, steps + 1):
        found = _step(problem, place, residual, damping)
        if found is None:
            break
        place, residual, damping = found
        history.append(_look(problem, place, step, residual, validation))
        if history[-1].validation_loss < lowest:
            best, lowest = place, history[-1].validation_loss
    chosen = copy.deepcopy(network)
    with torch.no_grad():
        for name, values in problem.parts(best).items():
            chosen.get_parameter(name).copy_(values)
    return ModuleFit(chosen, tuple(history))


@dataclass(frozen=True)
class _Problem:
    """The network as a function of one vector of parameters, and the rows."""

    network: nn.Module
    free: dict[str, Tensor]
    x: Tensor
    y: Tensor

    def parts(self, place: Tensor) -> dict[str, Tensor]:
        """The parameters that a vector stands for."""
        pieces = torch.split(place, [parameter.numel() for parameter in self.free.values()])
        return {name: piece.view_as(old) for (name, old), piece in zip(self.free.items(), pieces, strict=True)}

    def answers(self, place: Tensor, x: Tensor) -> Tensor:
        """``[rows, outputs]``."""
        answers: Tensor = functional_call(self.network, self.parts(place), (x,))
        return answers

    def residual(self, place: Tensor) -> Tensor:
        """``[rows, outputs]``, answers less targets."""
        with torch.no_grad():
            return self.answers(place, self.x) - self.y

    def normal(self, place: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """JᵀJ and Jᵀr of the Jacobian J, chunk by chunk of rows."""
        rows = max(1, _CHUNK_NUMBERS // (len(place) * self.y.shape[1]))
        jacobian = vmap(jacrev(lambda at, row: self.answers(at, row[None])[0]), (None, 0))
        matrix = torch.zeros(len(place), len(place), dtype=torch.float64)
        gradient = torch.zeros(len(place), dtype=torch.float64)
        for x, r in zip(torch.split(self.x, rows), torch.split(residual, rows), strict=True):
            part = jacobian(place, x).detach().flatten(0, 1)
            matrix += part.T @ part
            gradient += part.T @ r.flatten()
        return matrix, gradient


def _step(problem: _Problem, place: Tensor, residual: Tensor, damping: float) -> tuple[Tensor, Tensor, float] | None:
    """The next place, its residual and the damping to begin with there; None where no step lowers the loss."""
    matrix, gradient = problem.normal(place, residual)
    loss, size = residual.square().sum(), matrix.diagonal().mean()
    if not torch.isfinite(matrix).all():
        return None
    identity = torch.eye(len(place), dtype=torch.float64)
    for _ in range(_TRIES):
        factor, failed = torch.linalg.cholesky_ex(matrix + damping * size * identity)
        if not failed:
            tried = place - torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            left = problem.residual(tried)
            if left.square().sum() < loss:  # NaN is not less
                return tried, left, max(_LEAST_DAMPING, damping * _LESS)
        damping *= _MORE
    return None


def _look(problem: _Problem, place: Tensor, step: int, residual: Tensor, validation: Samples) -> Record:
    with torch.no_grad():
        answers = problem.answers(place, validation.x.double())
    y = validation.y.double()
    loss = float((answers - y).square().mean())
    return Record(0, step, float(residual.square().mean()), loss, score("regression", answers, y))
