"""Levenberg–Marquardt: fits a small network many digits closer than first-order methods, in less time.

Each step solves a linear least-squares problem in all parameters at once. A spline is linear in its coefficients, so
the real problem is almost linear. LBFGS knows one direction at a time and takes thousands of steps. A classification
uses the same step: the generalised Gauss–Newton matrix of the cross entropy is a least-squares matrix too.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from training.data.objective import Task, loss
from training.data.samples import Samples
from training.errors import FitRefused
from training.fitting.record import Advance

# The matrix of the normal equations has parameters² numbers: 128 MiB for 4096.
MOST_PARAMETERS = 4096
# Numbers of the Jacobian that are in memory at once.
_CHUNK_NUMBERS = 2**22
_FIRST_DAMPING = 1e-2
# If the classes can be separated perfectly, the loss has no minimum; damping keeps the logits finite.
_LEAST_DAMPING: dict[Task, float] = {"regression": 1e-14, "classification": 1e-8}
_LESS, _MORE = 1 / 5, 4.0
# A step is tried this many times, with more damping each time. If none lowers the loss, the fit ends.
_TRIES = 10


class LevenbergMarquardt:
    """Levenberg–Marquardt on all rows at once, in float64; the network gets the rounded parameters.

    Parameters without a gradient are not changed. The damping is relative to the mean square of the Jacobian, so
    parameters that no row touches are not changed either. An advance is one step. The last advance of a fit finds no
    lower loss and changes nothing.

    Source: Marquardt, An algorithm for least-squares estimation of nonlinear parameters (1963); for classes
    Schraudolph, Fast curvature matrix-vector products for second-order gradient descent (2002).
    """

    def __init__(self, network: nn.Module, train: Samples, task: Task) -> None:
        """Prepare the fit of a network ``[rows, inputs]`` to ``[rows, outputs]`` that computes each row alone.

        Raises:
            FitRefused: more than 4096 parameters.
        """
        self._network, self._train, self._task = network, train, task
        self._problem = LeastSquares.of(network, train, task)
        self._place, self._damping = self._problem.start, _FIRST_DAMPING

    def state_dict(self) -> dict[str, Any]:
        """The parameters before rounding, and the damping."""
        return {"place": self._place, "damping": self._damping}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._place, self._damping = state_dict["place"], state_dict["damping"]

    def advance(self, place: tuple[int, int]) -> Advance:
        """Do one step from ``place`` (index of the grid in the plan, steps done on it)."""
        found = _step(self._problem, self._place, self._damping)
        if found is not None:
            self._place, self._damping = found
            with torch.no_grad():
                for name, values in self._problem.parts(self._place).items():
                    self._network.get_parameter(name).copy_(values)
        with torch.no_grad():
            train_loss = float(loss(self._task, self._network(self._train.x), self._train.y))
        return Advance(place[1] + 1, train_loss, at_end=found is None)


def check_parameters(count: int, grid_size: int | None = None) -> None:
    """Refuse a network that is too large for normal equations.

    Raises:
        FitRefused: more than 4096 parameters.
    """
    if count > MOST_PARAMETERS:
        where = "" if grid_size is None else f" on grid {grid_size}"
        raise FitRefused(
            f"levenberg-marquardt is for at most {MOST_PARAMETERS} parameters, and the network has {count}{where}; "
            "wanted fewer hidden nodes, coarser grids, or lbfgs"
        )


@dataclass(frozen=True)
class LeastSquares:
    """The network as a function of one vector of parameters, and the rows; all in float64.

    Attributes:
        network: A copy of the network.
        free: The initial values of the parameters to fit.
        x: ``[rows, inputs]``.
        y: ``[rows, outputs]``, or classes ``[rows]``.
        task: The loss to minimize.
    """

    network: nn.Module
    free: dict[str, Tensor]
    x: Tensor
    y: Tensor
    task: Task

    @classmethod
    def of(cls, network: nn.Module, train: Samples, task: Task) -> "LeastSquares":
        """The problem of fitting a network, which is not changed.

        Raises:
            FitRefused: more than 4096 parameters.
        """
        exact = copy.deepcopy(network).double()
        free = {name: p.detach().clone() for name, p in exact.named_parameters() if p.requires_grad}
        check_parameters(sum(parameter.numel() for parameter in free.values()))
        y = train.y if task == "classification" else train.y.double()
        return cls(exact, free, train.x.double(), y, task)

    @property
    def start(self) -> Tensor:
        """The initial parameters as a vector, ``[parameters]``."""
        return torch.cat([parameter.flatten() for parameter in self.free.values()])

    def parts(self, place: Tensor) -> dict[str, Tensor]:
        """The parameters by name, for a vector ``[parameters]``."""
        pieces = torch.split(place, [parameter.numel() for parameter in self.free.values()])
        return {name: piece.view_as(old) for (name, old), piece in zip(self.free.items(), pieces, strict=True)}

    def answers(self, place: Tensor, x: Tensor) -> Tensor:
        """The network's answers ``[rows, outputs]`` with these parameters."""
        answers: Tensor = functional_call(self.network, self.parts(place), (x,))
        return answers

    def loss(self, place: Tensor) -> float:
        """The mean loss over the rows with these parameters."""
        with torch.no_grad():
            return float(loss(self.task, self.answers(place, self.x), self.y))

    def normal(self, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gauss–Newton matrix, gradient and scale of the damping, as sums over the rows.

        J is the Jacobian of the answers, p their softmax. Matrix and gradient are

        - regression: JᵀJ and Jᵀ(answers − targets), half the gradient of the squared error;
        - classification: Jᵀ(diag p − p pᵀ)J and Jᵀ(p − one-hot), of the cross entropy.

        The scale is the mean of the diagonal of JᵀJ, for a classification divided by the number of classes. It does not
        go to 0 as p goes to 0 and 1.
        """
        with torch.no_grad():
            answers = self.answers(place, self.x)
            residual = self._residual(answers)
        rows = max(1, _CHUNK_NUMBERS // (len(place) * answers.shape[1]))
        jacobian = vmap(jacrev(lambda at, row: self.answers(at, row[None])[0]), (None, 0))
        matrix = torch.zeros(len(place), len(place), dtype=torch.float64)
        gradient, squares = torch.zeros(len(place), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        parts = (torch.split(each, rows) for each in (self.x, answers, residual))
        for x, a, r in zip(*parts, strict=True):
            part = jacobian(place, x).detach()
            gradient += part.flatten(0, 1).T @ r.flatten()
            if self.task == "classification":
                squares += part.square().sum()
                part = _weight_rows(part, a.softmax(dim=1))
            matrix += part.flatten(0, 1).T @ part.flatten(0, 1)
        if self.task == "regression":
            return matrix, gradient, matrix.diagonal().mean()
        return matrix, gradient, squares / (len(place) * answers.shape[1])

    def _residual(self, answers: Tensor) -> Tensor:
        if self.task == "regression":
            return answers - self.y
        return answers.softmax(dim=1) - nn.functional.one_hot(self.y, answers.shape[1])


def _weight_rows(jacobian: Tensor, p: Tensor) -> Tensor:
    """SᵀJ for each row, with S = diag √p − p √pᵀ. Then S Sᵀ = diag p − p pᵀ, without subtracting squares.

    Args:
        jacobian: ``[rows, outputs, parameters]``.
        p: ``[rows, outputs]``; each row sums to 1.
    """
    mean = (p.unsqueeze(2) * jacobian).sum(dim=1, keepdim=True)
    return p.sqrt().unsqueeze(2) * (jacobian - mean)


def _step(problem: LeastSquares, place: Tensor, damping: float) -> tuple[Tensor, float] | None:
    """The next parameters and the damping to start with there; None if no step lowers the loss."""
    matrix, gradient, scale = problem.normal(place)
    before = problem.loss(place)
    if not torch.isfinite(matrix).all():
        return None
    identity = torch.eye(len(place), dtype=torch.float64)
    for _ in range(_TRIES):
        factor, failed = torch.linalg.cholesky_ex(matrix + damping * scale * identity)
        if not failed:
            tried = place - torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            if problem.loss(tried) < before:  # False for NaN.
                return tried, max(_LEAST_DAMPING[problem.task], damping * _LESS)
        damping *= _MORE
    return None
