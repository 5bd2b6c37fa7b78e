"""Networks on other devices: nothing of a step is made on the CPU, and CUDA networks can be used as CPU ones."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from kan_model import KAN, KANConfig, SymbolicEdge, attribute, auto_symbolic, dependence, prune, refine_grid
from kan_model.analysis.penalty import penalty, unchecked_penalty
from kan_model.formula.expression import formula
from kan_model.grids.adaptation import adapt_grid
from kan_model.lowering.driver import lower
from kan_model.plot import diagram, edge_detail
from kan_model.rows.jacobian import jacobian
from kan_model.rows.known_rows import KnownRows

has_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def network(dtype: torch.dtype = torch.float64) -> KAN:
    """A network with splines, a symbolic edge and biases."""
    first, second = KAN(KANConfig((2, 3, 1), grid_size=3, noise=0.5), dtype=dtype).layers
    first = first.changed(bias=torch.linspace(-1, 1, 3, dtype=dtype))
    return KAN.of_layers([first.with_symbolic([SymbolicEdge(0, 1, "sin", 1.0, 0.5, 2.0, 0.0)]), second])


def rows(count: int = 50, dtype: torch.dtype = torch.float64) -> Tensor:
    """Rows inside the domain and around it."""
    return 3 * torch.rand(count, 2, dtype=dtype, generator=torch.Generator().manual_seed(0)) - 1.5


def known_answers(kan: KAN, x: Tensor) -> Tensor:
    """By rows that are prepared once."""
    known = KnownRows.of(kan, x)
    assert known is not None
    return known.answers(kan)


STEPS: dict[str, Callable[[KAN, Tensor], Tensor]] = {
    "answers": lambda kan, x: kan(x),
    "edges": lambda kan, x: kan.layers[0].edge_outputs(x),
    "known rows": known_answers,
    "penalty": lambda kan, x: unchecked_penalty(kan, x),
    "Jacobian": lambda kan, x: jacobian(kan, x),
}
CHECKED: dict[str, Callable[[KAN, Tensor], Tensor]] = {"checked penalty": lambda kan, x: penalty(kan, x)}


@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("name", STEPS)
def test_a_step_makes_nothing_on_the_cpu_and_reads_no_number(name: str, outside: str) -> None:
    """On torch's meta device a tensor of the CPU is refused, and so is reading a number."""
    kan = network()
    for layer in kan.layers:
        layer.outside = outside  # type: ignore[assignment]
    meta = copy.deepcopy(kan).to("meta")
    found = STEPS[name](meta, rows().to("meta"))
    assert found.device.type == "meta"
    assert found.shape == STEPS[name](kan, rows()).shape
    if found.requires_grad:
        torch.autograd.backward(found.sum())
        assert meta.layers[0].coefficients.grad is not None


@has_cuda
@pytest.mark.parametrize("name", [*STEPS, *CHECKED])
def test_a_step_on_cuda_is_the_step_on_the_cpu(name: str) -> None:
    """Values and gradients within float64's rounding."""
    step = (STEPS | CHECKED)[name]
    here, there = network(), network().cuda()
    ours, theirs = step(here, rows()), step(there, rows().cuda())
    torch.testing.assert_close(theirs.cpu(), ours, rtol=1e-10, atol=1e-12)
    if ours.requires_grad:
        torch.autograd.backward(ours.sum())
        torch.autograd.backward(theirs.sum())
        for one, other in zip(here.layers[0].parameters(), there.layers[0].parameters(), strict=True):
            if one.grad is not None:  # A bias belongs to no edge.
                assert other.grad is not None
                torch.testing.assert_close(other.grad.cpu(), one.grad, rtol=1e-10, atol=1e-12)


@has_cuda
def test_networks_on_cuda_can_be_looked_at() -> None:
    """Refined, adapted, pruned, drawn, written as formulas and scored as those on the CPU."""
    kan, x = network().cuda(), rows(500).cuda()
    finer = refine_grid(kan, 6)
    torch.testing.assert_close(finer(x), kan(x), rtol=1e-9, atol=1e-9)
    adapt_grid(kan, x)
    smaller = prune(kan, x).kan
    assert smaller.layers[0].base_weight.is_cuda
    np.testing.assert_allclose(attribute(kan, x).inputs, attribute(network(), x.cpu()).inputs, rtol=1e-8)
    np.testing.assert_allclose(dependence(kan, x), dependence(network(), x.cpu()), rtol=1e-8)
    diagram(kan, x)
    edge_detail(kan, x, 1, 0, 2)
    formula(auto_symbolic(kan, x, functions=["x", "x^2"], min_r2=1e-6).kan, splines="keep").evaluate(x.cpu().numpy())


@has_cuda
def test_networks_on_cuda_are_lowered() -> None:
    """The graph is that of the network on the CPU; the network stays where it is."""
    kan = network(torch.float32).cuda()
    ours, theirs = lower(kan, tune_for=()), lower(network(torch.float32), tune_for=())
    assert ours.model.SerializeToString() == theirs.model.SerializeToString()
    assert kan.layers[0].base_weight.is_cuda
