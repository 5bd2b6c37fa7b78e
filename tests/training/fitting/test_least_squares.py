"""Levenberg–Marquardt reaches SciPy's solution, and changes nothing if no step lowers the loss."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch import nn

from kan_model import KAN, KANConfig, SymbolicEdge, refine_grid
from training.data.objective.loss_function import Task
from training.data.samples import Samples
from training.errors import FitRefused
from training.fitting.baseline import fit_baseline
from training.fitting.continual import fit_on
from training.fitting.fit import ModuleFit, Network, TrainingDiverged, fit_module
from training.recipe.fit_sections import FitSection
from training.threads import torch_threads


def fitted(
    network: Network, train: Samples, validation: Samples, steps: int, task: Task = "regression"
) -> ModuleFit[Network]:
    """As a recipe that names levenberg-marquardt does it, on one grid."""
    return fit_module(network, train, validation, FitSection(optimizer="levenberg-marquardt", steps=steps), task)


def toy(rows: int, seed: int, dtype: torch.dtype = torch.float64) -> Samples:
    """Samples of exp(sin(πx) + y²) on [-1, 1]²."""
    x = torch.rand(rows, 2, dtype=dtype, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return Samples(x, torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2))


def rmse(network: nn.Module, rows: Samples) -> float:
    """Root mean square error."""
    with torch.no_grad():
        return float((network(rows.x) - rows.y).square().mean().sqrt())


def test_a_linear_problem_is_solved_by_numpys_least_squares() -> None:
    """One layer is linear in its parameters: what is left is what NumPy leaves."""
    kan = KAN(KANConfig((2, 1), grid_size=4), dtype=torch.float64)
    train = toy(300, 0)
    found = fitted(kan, train, train, 30).best
    layer = kan.layers[0]
    design = torch.cat([nn.functional.silu(train.x), layer.basis(train.x).flatten(1)], dim=1).detach().numpy()
    (target,) = train.y.T.numpy()
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    assert rmse(found, train) == pytest.approx(np.sqrt(np.mean((design @ solution - target) ** 2)), rel=1e-6)


@pytest.mark.slow
def test_it_comes_as_far_as_scipys() -> None:
    """From the same start and after as many steps the loss is at most 1.1 times MINPACK's."""
    kan, train = KAN(KANConfig((2, 2, 1), grid_size=3), dtype=torch.float64), toy(150, 0)
    steps = 40
    start = torch.cat([parameter.detach().flatten() for parameter in kan.parameters()]).numpy()
    other = copy.deepcopy(kan)

    def residual(place: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            nn.utils.vector_to_parameters(torch.from_numpy(place), other.parameters())
            left: np.ndarray = (other(train.x) - train.y).flatten().numpy()
        return left

    theirs = least_squares(residual, start, method="lm", max_nfev=steps * (len(start) + 1))
    ours = fitted(kan, train, train, steps)
    assert len(train.x) * ours.history[-1].train_loss <= 1.1 * 2 * theirs.cost


@pytest.mark.slow
def test_it_leaves_lbfgs_far_behind() -> None:
    """The paper's staircase, in three steps: a third of the error of five times as many LBFGS iterations."""
    train, validation, test = toy(1000, 0), toy(1000, 1), toy(1000, 2)
    ours = theirs = KAN(KANConfig((2, 5, 1), grid_size=3), dtype=torch.float64)
    with torch_threads(1):
        for grid_size in (3, 5, 10):
            ours = fitted(refine_grid(ours, grid_size), train, validation, 40).best
            plan = FitSection(optimizer="lbfgs", grids=(grid_size,), steps=200)
            theirs = fit_module(refine_grid(theirs, grid_size), train, validation, plan, "regression").best
    assert rmse(ours, test) < rmse(theirs, test) / 3


def test_only_free_parameters_move() -> None:
    """Those without gradient stay to the bit, masked edges and the network that came too; symbolic constants move."""
    first, second = KAN(KANConfig((2, 3, 1), grid_size=3), dtype=torch.float64).layers
    mask = torch.ones(3, 2, dtype=torch.float64)
    mask[2, 1] = 0
    first = first.changed(edge_mask=mask, bias=torch.zeros(3, dtype=torch.float64))
    kan = KAN.of_layers([first.with_symbolic([SymbolicEdge(0, 0, "sin", 3.0, 0.0, 1.0, 0.0)]), second])
    kan.layers[1].base_weight.requires_grad_(False)
    before = copy.deepcopy(kan.state_dict())
    found = fitted(kan, toy(300, 0), toy(300, 1), 10).best
    assert all(torch.equal(kan.state_dict()[name], before[name]) for name in before)
    assert torch.equal(found.layers[1].base_weight, kan.layers[1].base_weight)
    assert torch.equal(found.layers[0].coefficients[2, 1], kan.layers[0].coefficients[2, 1])
    affine, bias = found.layers[0].symbolic_affine, found.layers[0].bias
    assert affine is not None
    assert bias is not None
    assert not torch.equal(affine, before["layers.0.symbolic_affine"])
    assert bias.abs().max() > 0


def test_float32_networks_and_several_outputs() -> None:
    """Computed in float64, rounded once; each output is met."""
    rows = toy(400, 0, torch.float32)
    both = Samples(rows.x, torch.cat([rows.y, -2 * rows.x[:, :1]], dim=1))
    found = fitted(KAN(KANConfig((2, 4, 2), grid_size=5)), both, both, 40)
    assert found.best.dtype is torch.float32
    assert rmse(found.best, both) < 0.02
    assert [record.step for record in found.history] == list(range(len(found.history)))


def test_validation_rows_choose() -> None:
    """With few noisy rows and many coefficients, validation rows choose a network before the last step."""
    kan, validation, few = KAN(KANConfig((2, 5, 1), grid_size=10), dtype=torch.float64), toy(300, 1), toy(150, 0)
    noise = torch.randn(150, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = fitted(kan, Samples(few.x, few.y + noise), validation, 30)
    losses = [record.validation_loss for record in found.history]
    assert rmse(found.best, validation) ** 2 == pytest.approx(min(losses), rel=1e-9)
    assert losses[-1] > min(losses)


def test_what_cannot_be_fitted_is_refused() -> None:
    """The error says what came and what was wanted."""
    rows = toy(20, 0, torch.float32)
    with pytest.raises(FitRefused, match=r"4096 .* 4320"):
        fitted(KAN(KANConfig((2, 160, 1))), rows, rows, 1)
    huge = Samples(rows.x, 1e30 * rows.y)
    with pytest.raises(TrainingDiverged, match="before the first step"):
        fitted(KAN(KANConfig((2, 2, 1))), huge, huge, 1)


def angles(classes: int, rows: int, seed: int, dtype: torch.dtype = torch.float64) -> Samples:
    """Rows of two numbers in as many classes, by the angle; the class of one row in ten is drawn anew."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(rows, 2, dtype=dtype, generator=generator) * 2 - 1
    angle = (torch.atan2(x[:, 1], x[:, 0]) / (2 * torch.pi) + 0.5) * classes
    other = torch.randint(classes, (rows,), generator=generator)
    wrong = torch.rand(rows, generator=generator) < 0.1
    return Samples(x, torch.where(wrong, other, angle.long().clamp(max=classes - 1)))


def test_classes_of_a_linear_network_come_to_where_scikit_learn_comes() -> None:
    """Logistic regression without a penalty on the same functions, by Newton's method: the same cross entropy.

    The basis functions of each input add up to 1, so one of them is left out: the others span the same, and the
    optimum is one point, which Newton's method reaches in some seven steps.
    """
    kan, rows = KAN(KANConfig((2, 3), grid_size=3), dtype=torch.float64), angles(3, 600, 0)
    (layer,) = kan.layers
    basis = layer.basis(rows.x).flatten(1)[:, 1:]
    design = torch.cat([nn.functional.silu(rows.x), basis], dim=1).detach().numpy()
    newton = LogisticRegression(C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-10)
    theirs = newton.fit(design, rows.y.numpy())
    ours = fitted(kan, rows, rows, 40, "classification")
    assert ours.history[-1].train_loss == pytest.approx(log_loss(rows.y, theirs.predict_proba(design)), rel=1e-5)


@pytest.mark.slow
def test_a_deep_network_of_classes_comes_lower_than_by_lbfgs() -> None:
    """The same network and rows: in 40 steps below four fifths of the loss of 200 LBFGS iterations (here a half)."""
    kan, rows = KAN(KANConfig((2, 4, 5), grid_size=5), dtype=torch.float64), angles(5, 500, 0)
    with torch_threads(1):
        ours = fitted(kan, rows, rows, 40, "classification")
        plan = FitSection(optimizer="lbfgs", steps=200)
        theirs = fit_module(kan, rows, rows, plan, "classification")
    assert ours.history[-1].train_loss < 0.8 * theirs.history[-1].train_loss


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)])
def test_classes_that_are_told_apart_for_sure_stay_finite(dtype: torch.dtype) -> None:
    """The lowest loss is at infinity: on the way there every network answers with numbers, however long it goes on."""
    x = torch.linspace(-1, 1, 40, dtype=dtype)[:, None]
    rows = Samples(x, (x[:, 0] > 0).long() + (x[:, 0] > 0.5).long())
    found = fitted(KAN(KANConfig((1, 3), grid_size=4), dtype=dtype), rows, rows, 300, "classification")
    losses = [record.train_loss for record in found.history]
    assert losses[-1] < 1e-6
    assert found.best(x).abs().max() < 1e3
    assert all(math.isfinite(loss) for loss in losses)
    assert all(torch.isfinite(parameter).all() for parameter in found.best.parameters())
    assert torch.isfinite(found.best(x)).all()


def test_a_baseline_and_what_learns_on_are_fitted_by_it_too() -> None:
    """An MLP of the network's size meets the toy; new rows of one input are met, old answers stay to the bit."""
    plan, train = FitSection(optimizer="levenberg-marquardt", steps=30), toy(300, 0)
    kan = KAN(KANConfig((2, 3, 1), grid_size=3), dtype=torch.float64)
    assert fit_baseline(kan, train, toy(100, 1), plan, "regression", judging=toy(300, 2)).score > 0.99
    line = torch.linspace(-1, 1, 201, dtype=torch.float64)[:, None]
    old, new, curve = line[:, 0] < 0, line[:, 0] > 0.4, torch.sin(3 * line)
    known = Samples(line[old], curve[old])
    one = fitted(KAN(KANConfig((1, 1), grid_size=20), dtype=torch.float64), known, known, 20).best
    later = fit_on(one, line[new], curve[new], plan=plan, old_rows=line[old])
    assert later.drift is not None
    assert later.drift.largest == 0
    assert rmse(later.kan, Samples(line[new], curve[new])) < 1e-3
