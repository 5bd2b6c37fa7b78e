"""Fits on other devices: a step waits for nothing, and every optimizer takes CUDA networks."""

import copy

import pytest
import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from kan_model import KAN, KANConfig
from training.data.samples import Samples
from training.fitting.continual import fit_on
from training.fitting.evaluation import answers
from training.fitting.fit import fit
from training.fitting.normal_equations import LeastSquares
from training.fitting.optimizers import Objective, optimizer_for
from training.recipe.fit_sections import FitSection, SparsifySection

# Each makes the CPU wait until a GPU has finished its work.
WAITING = ("aten::item", "aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero", "aten::equal")


def kan_of(dtype: torch.dtype = torch.float32) -> KAN:
    """A small network."""
    return KAN(KANConfig((2, 3, 1), grid_size=3, noise=0.5), dtype=dtype)


def toy(rows: int = 256, dtype: torch.dtype = torch.float32) -> Samples:
    """Samples of x·y."""
    x = torch.rand(rows, 2, dtype=dtype, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Samples(x, x[:, :1] * x[:, 1:])


@pytest.mark.parametrize("sparsify", [None, SparsifySection(penalty=1e-3)])
def test_an_epoch_of_adam_reads_no_number_from_the_device(sparsify: SparsifySection | None) -> None:
    """After the first epoch, which prepares the layers. The losses of all batches are read at once, at the end."""
    plan = FitSection(optimizer="adam", steps=3, batch_rows=32)
    optimizer = optimizer_for(kan_of(), toy(), plan, Objective("regression", sparsify))
    optimizer.advance((0, 0))
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        optimizer.advance((0, 1))
    events = profiled.events()
    assert sum(event.name == "aten::mm" for event in events) > 8  # The profiler saw the steps.
    # Only the CPU's kernel of fused Adam reads the number of the step.
    kernels = [event for event in events if event.name == "aten::_fused_adamw_"]
    readings = [event for event in events if event.name in WAITING]
    assert [each for each in readings if not any(_is_within(each, kernel) for kernel in kernels)] == []


def _is_within(event: FunctionEvent, other: FunctionEvent) -> bool:
    return bool(other.time_range.start <= event.time_range.start and event.time_range.end <= other.time_range.end)


def test_the_normal_equations_are_made_on_the_device() -> None:
    """On torch's meta device a tensor of the CPU is refused, and so is reading a number."""
    train = Samples(*(each.to("meta") for each in (toy().x, toy().y)))
    problem = LeastSquares.of(copy.deepcopy(kan_of()).to("meta"), train, "regression")
    normal = problem.normal(problem.model.start)
    for each in (normal.matrix, normal.gradient, normal.scale):
        assert each.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "levenberg-marquardt"])
def test_fits_on_cuda_end_as_on_the_cpu(optimizer: str) -> None:
    """The same steps from the same start, within the rounding of some steps."""
    plan = FitSection.model_validate({"optimizer": optimizer, "steps": 4, "grids": (3, 6)})
    train = toy(dtype=torch.float64)
    there = Samples(train.x.cuda(), train.y.cuda())
    ours = fit(kan_of(torch.float64), train, train, plan, "regression")
    theirs = fit(kan_of(torch.float64).cuda(), there, there, plan, "regression")
    assert theirs.best_loss == pytest.approx(ours.best_loss, rel=1e-3)
    assert answers(theirs.best, there.x).is_cuda


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_version_on_cuda_learns_on() -> None:
    """New rows are fitted on the network's device."""
    train = toy(dtype=torch.float64)
    found = fit_on(kan_of(torch.float64).cuda(), train.x.cuda(), train.y.cuda(), old_rows=train.x.cuda())
    assert found.kan.layers[0].coefficients.is_cuda
