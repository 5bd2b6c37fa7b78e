"""Levenberg–Marquardt: the fit of a small network, many digits closer than first-order methods in less time.

Each step solves a linear least-squares problem in all parameters at once. A spline's coefficients enter its edge
linearly, so that the problem is nearly that; LBFGS, which knows one direction at a time, takes thousands of steps.
Classes are fitted by the same step: the cross entropy's generalised Gauss–Newton matrix is one of least squares too.
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

# Its normal equations are a square of so many numbers.
MOST_PARAMETERS = 4096
# Numbers of the Jacobian that are made at a time.
_CHUNK_NUMBERS = 2**22
_FIRST_DAMPING = 1e-2
# Where classes can be told apart for sure the loss falls for ever: damping keeps logits from running to infinity.
_LEAST_DAMPING: dict[Task, float] = {"regression": 1e-14, "classification": 1e-8}
_LESS, _MORE = 1 / 5, 4.0
# A step is tried with ever more damping so often; then the fit is at its end.
_TRIES = 10


class LevenbergMarquardt:
    """Fits by the method of Levenberg and Marquardt, on all rows at once, in float64; the network gets it rounded.

    Parameters that want no gradient stay. The damping is relative to the mean square of the Jacobian, so that those
    that no row touches stay too. An advance is one step; the last one of a fit is one that finds nothing lower, and
    moves nothing.

    Source: Marquardt, An algorithm for least-squares estimation of nonlinear parameters (1963); for classes
    Schraudolph, Fast curvature matrix-vector products for second-order gradient descent (2002).
    """

    def __init__(self, network: nn.Module, train: Samples, task: Task) -> None:
        """Of a network ``[rows, inputs]`` to ``[rows, outputs]``, each row by itself.

        Raises:
            FitRefused: more parameters than 4096.
        """
        self._network, self._train, self._task = network, train, task
        self._problem = LeastSquares.of(network, train, task)
        self._place, self._damping = self._problem.start, _FIRST_DAMPING

    def state_dict(self) -> dict[str, Any]:
        """The parameters before rounding, and the damping."""
        return {"place": self._place, "damping": self._damping}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._place, self._damping = state_dict["place"], state_dict["damping"]

    def advance(self, place: tuple[int, int]) -> Advance:
        """One step, from ``place`` (which of the plan's grids, steps done on it)."""
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
    """Refuse a fit that is too large for normal equations.

    Raises:
        FitRefused: more parameters than 4096.
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
        network: A copy.
        free: The parameters that move, as they came.
        x: ``[rows, inputs]``.
        y: ``[rows, outputs]``, or classes ``[rows]``.
        task: What the loss is.
    """

    network: nn.Module
    free: dict[str, Tensor]
    x: Tensor
    y: Tensor
    task: Task

    @classmethod
    def of(cls, network: nn.Module, train: Samples, task: Task) -> "LeastSquares":
        """The network is left as it is.

        Raises:
            FitRefused: more parameters than 4096.
        """
        exact = copy.deepcopy(network).double()
        free = {name: p.detach().clone() for name, p in exact.named_parameters() if p.requires_grad}
        check_parameters(sum(parameter.numel() for parameter in free.values()))
        y = train.y if task == "classification" else train.y.double()
        return cls(exact, free, train.x.double(), y, task)

    @property
    def start(self) -> Tensor:
        """``[parameters]``, as they came."""
        return torch.cat([parameter.flatten() for parameter in self.free.values()])

    def parts(self, place: Tensor) -> dict[str, Tensor]:
        """The parameters that a vector stands for."""
        pieces = torch.split(place, [parameter.numel() for parameter in self.free.values()])
        return {name: piece.view_as(old) for (name, old), piece in zip(self.free.items(), pieces, strict=True)}

    def answers(self, place: Tensor, x: Tensor) -> Tensor:
        """``[rows, outputs]``."""
        answers: Tensor = functional_call(self.network, self.parts(place), (x,))
        return answers

    def loss(self, place: Tensor) -> float:
        """Mean over the rows."""
        with torch.no_grad():
            return float(loss(self.task, self.answers(place, self.x), self.y))

    def normal(self, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The Gauss–Newton matrix and half the gradient of the squared error, or both of the cross entropy; the scale.

        With the Jacobian J of the answers these are JᵀJ and Jᵀ(answers − targets), or Jᵀ(diag p − p pᵀ)J and
        Jᵀ(p − one-hot), p being the softmax of the answers; sums, chunk by chunk of rows. The scale is the mean of the
        diagonal of JᵀJ, for classes divided by their number: it does not vanish as p comes close to 0 and 1.
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
                part = _weighted(part, a.softmax(dim=1))
            matrix += part.flatten(0, 1).T @ part.flatten(0, 1)
        if self.task == "regression":
            return matrix, gradient, matrix.diagonal().mean()
        return matrix, gradient, squares / (len(place) * answers.shape[1])

    def _residual(self, answers: Tensor) -> Tensor:
        if self.task == "regression":
            return answers - self.y
        return answers.softmax(dim=1) - nn.functional.one_hot(self.y, answers.shape[1])


def _weighted(jacobian: Tensor, p: Tensor) -> Tensor:
    """SᵀJ, row by row, with S = diag √p − p √pᵀ, so that S Sᵀ = diag p − p pᵀ: nothing is subtracted that is squared.

    Args:
        jacobian: ``[rows, outputs, parameters]``.
        p: ``[rows, outputs]``, sums of rows are 1.
    """
    mean = (p.unsqueeze(2) * jacobian).sum(dim=1, keepdim=True)
    return p.sqrt().unsqueeze(2) * (jacobian - mean)


def _step(problem: LeastSquares, place: Tensor, damping: float) -> tuple[Tensor, float] | None:
    """The next place and the damping to begin with there; None where no step lowers the loss."""
    matrix, gradient, scale = problem.normal(place)
    before = problem.loss(place)
    if not torch.isfinite(matrix).all():
        return None
    identity = torch.eye(len(place), dtype=torch.float64)
    for _ in range(_TRIES):
        factor, failed = torch.linalg.cholesky_ex(matrix + damping * scale * identity)
        if not failed:
            tried = place - torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            if problem.loss(tried) < before:  # NaN is not less
                return tried, max(_LEAST_DAMPING[problem.task], damping * _LESS)
        damping *= _MORE
    return None
