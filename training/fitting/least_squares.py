"""Levenberg–Marquardt: fits a small network many digits closer than first-order methods, in less time.

Each step solves a linear least-squares problem in all parameters at once. A spline is linear in its coefficients, so
the real problem is almost linear. LBFGS knows one direction at a time and takes thousands of steps. A classification
uses the same step: the generalised Gauss–Newton matrix of the cross entropy is a least-squares matrix too.
"""

from typing import Any

import torch
from torch import Tensor, nn

from training.data.objective.loss import loss
from training.data.objective.loss_function import Loss, Task, loss_function
from training.data.samples import Samples
from training.errors import FitRefused
from training.fitting.evaluation import answers
from training.fitting.normal_equations import LeastSquares
from training.fitting.record import Advance

# The matrix of the normal equations has parameters² numbers: 128 MiB for 4096.
MOST_PARAMETERS = 4096
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

    def __init__(self, network: nn.Module, train: Samples, task: Loss) -> None:
        """Prepare the fit of a network ``[rows, inputs]`` to ``[rows, outputs]`` that computes each row alone.

        Raises:
            FitRefused: more than 4096 parameters, or a loss that is neither squared error nor that of classes.
        """
        function = loss_function(task)
        if function.name not in ("squared_error", "cross_entropy"):
            raise FitRefused(
                f'levenberg-marquardt takes squared error only, and the objective is "{function.name}"; wanted adam or '
                "lbfgs"
            )
        task = function.task
        check_parameters(sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad))
        self._network, self._train, self._task = network, train, task
        self._problem = LeastSquares.of(network, train, task)
        self._place, self._damping = self._problem.model.start, _FIRST_DAMPING
        self._loss: float | None = None
        self._is_exact = all(parameter.dtype == torch.float64 for parameter in network.parameters())

    def state_dict(self) -> dict[str, Any]:
        """The parameters before rounding, and the damping."""
        return {"place": self._place, "damping": self._damping}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._place, self._damping = state_dict["place"].to(self._place), state_dict["damping"]
        self._loss = None

    def advance(self, place: tuple[int, int]) -> Advance:
        """Do one step from ``place`` (index of the grid in the plan, steps done on it)."""
        before = self._problem.loss(self._place) if self._loss is None else self._loss
        found = _step(self._problem, self._place, before, self._damping)
        self._loss = before
        if found is not None:
            self._place, self._loss, self._damping = found
            own = dict(self._network.named_parameters())
            with torch.no_grad():
                for name, values in self._problem.model.parts(self._place).items():
                    own[name].copy_(values)
        # A network in float64 has these parameters, any other one has them rounded.
        train_loss = self._loss if self._is_exact else self._loss_of_network()
        return Advance(place[1] + 1, train_loss, at_end=found is None)

    def _loss_of_network(self) -> float:
        return float(loss(self._task, answers(self._network, self._train.x), self._train.y, self._train.weights))


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


def _step(problem: LeastSquares, place: Tensor, before: float, damping: float) -> tuple[Tensor, float, float] | None:
    """The next parameters, their loss, and the damping to start with there; None if no step lowers the loss.

    Args:
        problem: The fit.
        place: ``[parameters]``.
        before: The loss there.
        damping: The first one to try.
    """
    normal = problem.normal(place)
    matrix, diagonal = normal.matrix, normal.matrix.diagonal().clone()
    # Its numbers are sums of squares: none of the matrix is larger, and a NaN in the Jacobian is on the diagonal too.
    if not torch.isfinite(diagonal).all():
        return None
    for _ in range(_TRIES):
        torch.add(diagonal, damping * normal.scale, out=matrix.diagonal())
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if not failed:
            tried = place - torch.cholesky_solve(normal.gradient[:, None], factor)[:, 0]
            after = problem.loss(tried)
            if after < before:  # False for NaN.
                return tried, after, max(_LEAST_DAMPING[problem.task], damping * _LESS)
        damping *= _MORE
    return None
