"""Levenberg–Marquardt finds what SciPy finds, and does no harm where it cannot go on."""

import copy

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import nn

from kan_model import KAN, KANConfig, SymbolicEdge, refine_grid
from training.config import FitSection
from training.fit import Samples, TrainingDiverged, fit_module
from training.least_squares import fit_least_squares
from training.threads import torch_threads


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
    found = fit_least_squares(kan, train, train, steps=30).best
    layer = kan.layers[0]
    design = torch.cat([nn.functional.silu(train.x), layer.basis(train.x).flatten(1)], dim=1).detach().numpy()
    (target,) = train.y.T.numpy()
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    assert rmse(found, train) == pytest.approx(np.sqrt(np.mean((design @ solution - target) ** 2)), rel=1e-6)


def test_it_comes_as_far_as_scipys() -> None:
    """From the same start, after as many steps, within a tenth of the loss of MINPACK's or below."""
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
    ours = fit_least_squares(kan, train, train, steps=steps)
    assert len(train.x) * ours.history[-1].train_loss <= 1.1 * 2 * theirs.cost


def test_it_leaves_lbfgs_far_behind() -> None:
    """The paper's staircase, in three steps: a third of the error of five times as many LBFGS iterations."""
    train, validation, test = toy(1000, 0), toy(1000, 1), toy(1000, 2)
    ours = theirs = KAN(KANConfig((2, 5, 1), grid_size=3), dtype=torch.float64)
    with torch_threads(1):
        for grid_size in (3, 5, 10):
            ours = fit_least_squares(refine_grid(ours, grid_size), train, validation, steps=40).best
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
    found = fit_least_squares(kan, toy(300, 0), toy(300, 1), steps=10).best
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
    found = fit_least_squares(KAN(KANConfig((2, 4, 2), grid_size=5)), both, both, steps=40)
    assert found.best.dtype is torch.float32
    assert rmse(found.best, both) < 0.02
    assert [record.step for record in found.history] == list(range(len(found.history)))


def test_validation_rows_choose() -> None:
    """Few rows, much noise and many coefficients: the network is not the last."""
    kan, validation, few = KAN(KANConfig((2, 5, 1), grid_size=10), dtype=torch.float64), toy(300, 1), toy(150, 0)
    noise = torch.randn(150, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = fit_least_squares(kan, Samples(few.x, few.y + noise), validation, steps=30)
    losses = [record.validation_loss for record in found.history]
    assert rmse(found.best, validation) ** 2 == pytest.approx(min(losses), rel=1e-9)
    assert losses[-1] > min(losses)


def test_what_cannot_be_fitted_is_refused() -> None:
    """The error says what came and what was wanted."""
    kan, rows = KAN(KANConfig((2, 2, 1)), dtype=torch.float64), toy(20, 0)
    with pytest.raises(ValueError, match="targets are classes"):
        fit_least_squares(kan, Samples(rows.x, torch.zeros(20, dtype=torch.int64)), rows, steps=1)
    with pytest.raises(ValueError, match="0 steps of"):
        fit_least_squares(kan, rows, rows, steps=0)
    with pytest.raises(ValueError, match="of at most 4096"):
        fit_least_squares(KAN(KANConfig((64, 32, 1))), rows, rows, steps=1)
    spoilt = Samples(rows.x, torch.full_like(rows.y, torch.nan))
    with pytest.raises(TrainingDiverged, match="before the first step"):
        fit_least_squares(kan, spoilt, rows, steps=1)
