"""The normal equations are autograd's, in any number of blocks of rows."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev

from kan_model import KAN, KANConfig
from training.data.objective.loss_function import Task
from training.data.samples import Samples
from training.fitting import normal_equations
from training.fitting.normal_equations import LeastSquares


def of_vector(network: nn.Module, x: Tensor) -> Callable[[Tensor], Tensor]:
    """The answers to the rows as a function of all parameters in one vector."""
    parameters = dict(network.named_parameters())

    def answers(place: Tensor) -> Tensor:
        pieces = torch.split(place, [each.numel() for each in parameters.values()])
        parts = {name: piece.view_as(parameters[name]) for name, piece in zip(parameters, pieces, strict=True)}
        outputs: Tensor = functional_call(network, parts, (x,))
        return outputs

    return answers


def random_rows(rows: int, task: Task, outputs: int = 3) -> Samples:
    """Rows of two numbers, with classes or targets drawn at random."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(rows, 2, dtype=torch.float64, generator=generator) * 2 - 1
    if task == "classification":
        return Samples(x, torch.randint(outputs, (rows,), generator=generator))
    return Samples(x, torch.randn(rows, outputs, dtype=torch.float64, generator=generator))


def test_the_matrix_of_classes_is_the_hessian_where_the_network_is_linear() -> None:
    """One layer is linear in its parameters: autograd's Hessian and gradient of the summed cross entropy."""
    kan, rows = KAN(KANConfig((2, 3), grid_size=4), seed=1, dtype=torch.float64), random_rows(60, "classification")
    problem, answers = LeastSquares.of(kan, rows, "classification"), of_vector(kan, rows.x)

    def summed(place: Tensor) -> Tensor:
        return nn.functional.cross_entropy(answers(place), rows.y, reduction="sum")

    place = 3 * problem.model.start
    normal = problem.normal(place)
    torch.testing.assert_close(normal.matrix, jacrev(jacrev(summed))(place), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(normal.gradient, grad(summed)(place), rtol=1e-10, atol=1e-12)


def test_the_matrix_of_classes_leaves_out_only_the_curvature_of_the_network() -> None:
    """Two layers, all in one: JᵀHJ with autograd's Jacobian of the answers and Hessian of the loss in them."""
    kan, rows = KAN(KANConfig((2, 2, 3), grid_size=3), seed=1, dtype=torch.float64), random_rows(30, "classification")
    problem, answers = LeastSquares.of(kan, rows, "classification"), of_vector(kan, rows.x)
    place = problem.model.start
    jacobian = jacrev(lambda at: answers(at).flatten())(place)

    def summed(given: Tensor) -> Tensor:
        return nn.functional.cross_entropy(given.view(-1, 3), rows.y, reduction="sum")

    curvature = jacrev(jacrev(summed))(answers(place).detach().flatten())
    wanted = jacobian.T @ curvature @ jacobian
    torch.testing.assert_close(problem.normal(place).matrix, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("network", [KAN(KANConfig((2, 6, 3))).double(), nn.Linear(2, 3).double()])
def test_blocks_of_rows_add_up(monkeypatch: pytest.MonkeyPatch, task: Task, network: nn.Module) -> None:
    """Blocks of 7 of 30 rows give the same as one block, and the matrix is symmetric."""
    problem = LeastSquares.of(network, random_rows(30, task), task)
    place = problem.model.start
    whole = problem.normal(place)
    monkeypatch.setattr(normal_equations, "_BLOCK_NUMBERS", 7 * len(place) * 3)
    parts = problem.normal(place)
    for name in ("matrix", "gradient", "scale"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(parts.matrix, parts.matrix.T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("network", [KAN(KANConfig((2, 6, 3))).double(), nn.Linear(2, 3).double()])
def test_of_a_regression_it_is_the_product_of_the_jacobian(network: nn.Module) -> None:
    """JᵀJ and Jᵀ(answers − targets) by autograd; a frozen parameter has no column."""
    rows = random_rows(30, "regression")
    answers, place = of_vector(network, rows.x), nn.utils.parameters_to_vector(network.parameters()).detach()
    jacobian = jacrev(lambda at: answers(at).flatten())(place)
    normal = LeastSquares.of(network, rows, "regression").normal(place)
    residual = (answers(place).detach() - rows.y).flatten()
    torch.testing.assert_close(normal.matrix, jacobian.T @ jacobian, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(normal.gradient, jacobian.T @ residual, rtol=1e-10, atol=1e-12)
    first = next(network.parameters())
    first.requires_grad_(False)
    try:
        problem = LeastSquares.of(network, rows, "regression")
        found = problem.normal(problem.model.start).matrix
    finally:
        first.requires_grad_(True)
    torch.testing.assert_close(found, normal.matrix[first.numel() :, first.numel() :], rtol=1e-10, atol=1e-12)
