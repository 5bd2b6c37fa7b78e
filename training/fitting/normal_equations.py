"""The normal equations of a fit: a quadratic model of the loss around a vector of parameters."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.data.objective.loss import loss
from training.data.objective.loss_function import Task
from training.data.samples import Samples
from training.fitting.on_rows import OnRows, on_rows

# Numbers of the Jacobian that are in memory at once: 16 MiB.
_BLOCK_NUMBERS = 2**21
# Columns of the matrix that are computed in one product. Only those on and below the diagonal are.
_STRIP = 128


@dataclass(frozen=True)
class NormalEquations:
    """Sums over the rows.

    Attributes:
        matrix: ``[parameters, parameters]``, the Gauss–Newton matrix.
        gradient: ``[parameters]``.
        scale: 0-dim, the scale of the damping.
    """

    matrix: Tensor
    gradient: Tensor
    scale: Tensor


@dataclass(frozen=True)
class LeastSquares:
    """The fit of a network to rows, in float64.

    Attributes:
        model: The answers as a function of the parameters.
        y: ``[rows, outputs]``, or classes ``[rows]``.
        task: The loss to minimize.
        weights: ``[rows]``; None: all 1.
    """

    model: OnRows
    y: Tensor
    task: Task
    weights: Tensor | None = None

    @classmethod
    def of(cls, network: nn.Module, train: Samples, task: Task) -> "LeastSquares":
        """The problem of fitting a network, which is not changed."""
        y = train.y if task == "classification" else train.y.double()
        return cls(on_rows(network, train.x), y, task, None if train.weights is None else train.weights.double())

    def loss(self, place: Tensor) -> float:
        """The mean loss over the rows with these parameters."""
        return float(loss(self.task, self.model.answers(place), self.y, self.weights))

    def normal(self, place: Tensor) -> NormalEquations:
        """The normal equations around these parameters.

        J is the Jacobian of the answers, p their softmax. Matrix and gradient are

        - regression: JᵀJ and Jᵀ(answers − targets), half the gradient of the squared error;
        - classification: Jᵀ(diag p − p pᵀ)J and Jᵀ(p − one-hot), of the cross entropy.

        With weights of rows, J and the residuals of a row have the root of its weight as a factor.

        The scale is the mean of the diagonal of JᵀJ, for a classification divided by the number of classes. It does not
        go to 0 as p goes to 0 and 1.
        """
        count, outputs = len(place), self.model.outputs
        step = max(1, _BLOCK_NUMBERS // (count * outputs))
        block = place.new_empty(min(step, len(self.y)), outputs, count)
        matrix, gradient, squares = place.new_zeros(count, count), torch.zeros_like(place), place.new_zeros(())
        for start in range(0, len(self.y), step):
            rows = slice(start, start + step)
            part = block[: len(self.y[rows])]
            answers = self.model.write_jacobian(place, rows, part)
            residual = self._residual(answers, self.y[rows])
            if self.weights is not None:
                roots = self.weights[rows].sqrt()
                part.mul_(roots[:, None, None])
                residual = residual * roots[:, None]
            flat = part.flatten(0, 1)
            gradient.addmv_(flat.t(), residual.flatten())
            if self.task == "classification":
                squares += flat.square().sum()
                _weight_rows(part, answers.softmax(dim=1))
            _add_products(matrix, flat)
        _mirror(matrix)
        scale = matrix.diagonal().mean() if self.task == "regression" else squares / (count * outputs)
        return NormalEquations(matrix, gradient, scale)

    def _residual(self, answers: Tensor, y: Tensor) -> Tensor:
        if self.task == "regression":
            return answers - y
        return answers.softmax(dim=1) - nn.functional.one_hot(y, answers.shape[1])


def _weight_rows(jacobian: Tensor, p: Tensor) -> None:
    """Turn J of each row into SᵀJ with S = diag √p − p √pᵀ. Then S Sᵀ = diag p − p pᵀ, without subtracting squares.

    Args:
        jacobian: ``[rows, outputs, parameters]``; it is changed.
        p: ``[rows, outputs]``; each row sums to 1.
    """
    mean = p.unsqueeze(1) @ jacobian
    jacobian.sub_(mean).mul_(p.sqrt().unsqueeze(2))


def _add_products(matrix: Tensor, rows: Tensor) -> None:
    """Add rowsᵀ·rows to the matrix on and below its diagonal, and to some numbers above it."""
    for start in range(0, len(matrix), _STRIP):
        end = start + _STRIP
        matrix[start:end, :end].addmm_(rows[:, start:end].t(), rows[:, :end])


def _mirror(matrix: Tensor) -> None:
    """Copy what is below the diagonal to above it."""
    for start in range(0, len(matrix), _STRIP):
        end = start + _STRIP
        matrix[:start, start:end] = matrix[start:end, :start].t()
