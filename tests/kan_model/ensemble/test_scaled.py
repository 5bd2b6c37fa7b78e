"""A scaled network answers a factor times the answers of the network, and keeps its members."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kan_model import (
    KAN,
    KANConfig,
    mean_network,
    members_of,
    promised_directions,
    scaled_network,
    with_monotone_inputs,
)
from kan_model.network.symbolic_edge import SymbolicEdge


def with_all_parts(kan: KAN) -> KAN:
    """The network with a formula and a bias in its last layer."""
    last = kan.layers[-1]
    symbolic = [SymbolicEdge(0, 0, "sin", 1.5, 0.2, 2.0, -0.7)]
    bias = torch.linspace(-1, 1, last.sums, dtype=kan.dtype)
    return kan.with_layers([*kan.layers[:-1], last.changed(symbolic=symbolic, bias=bias)])


@pytest.mark.parametrize("factor", [0.05, 0.8, 1.0, 20.0])
@pytest.mark.parametrize("width", [(3, 4), (3, 5, 4), (3, 4, 4, 4), (3, 5, (2, 2))])
def test_it_answers_a_factor_times_the_answers(width: tuple[int | tuple[int, int], ...], factor: float) -> None:
    """In float64 to 1e-13 of the largest answer: splines, formulas, biases, and outputs that multiply."""
    kan = with_all_parts(KAN(KANConfig(width, noise=1.0), seed=1, dtype=torch.float64))
    x = torch.rand(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4 - 2
    before = {name: values.clone() for name, values in kan.state_dict().items()}
    with torch.no_grad():
        wanted, found = factor * kan(x), scaled_network(kan, factor)(x)
    assert float((found - wanted).abs().max()) <= 1e-13 * float(wanted.abs().max())
    assert all(torch.equal(values, before[name]) for name, values in kan.state_dict().items())


def test_its_members_are_the_scaled_members(make_members: Callable[..., list[KAN]], rows: Tensor) -> None:
    """The members' answers times the factor, each for itself."""
    members = make_members(2, mixed=True)
    scaled = members_of(scaled_network(mean_network(members), 0.25))
    for member, found in zip(members, scaled, strict=True):
        torch.testing.assert_close(found(rows), 0.25 * member(rows), rtol=1e-10, atol=1e-10)


def test_promises_of_monotone_inputs_stay(rows: Tensor) -> None:
    """One that rises, one that falls and one that is free, also where the last layer has such edges."""
    kan = with_monotone_inputs(KAN(KANConfig((3, 4, 2), noise=0.5), seed=1, dtype=torch.float64), (1, -1, 0), (-1, 1))
    scaled = scaled_network(kan, 0.4)
    assert kan.layers[-1].directions is not None
    assert promised_directions(scaled).tolist() == promised_directions(kan).tolist()
    torch.testing.assert_close(scaled(rows), 0.4 * kan(rows), rtol=1e-10, atol=1e-10)


def test_no_memory_is_shared() -> None:
    """A change of the scaled network leaves the first one as it is."""
    kan = KAN(KANConfig((2, 3, 2)), dtype=torch.float64)
    before = kan.layers[0].base_weight.detach().clone()
    scaled = scaled_network(kan, 2.0)
    with torch.no_grad():
        scaled.layers[0].base_weight.zero_()
    assert torch.equal(kan.layers[0].base_weight, before)


@pytest.mark.parametrize("factor", [0.0, -3.0, float("inf"), float("nan")])
def test_a_factor_that_is_not_above_0_is_refused(factor: float) -> None:
    """It would turn an edge that only rises into one that falls, or stays."""
    with pytest.raises(ValueError, match="wanted a finite number above 0"):
        scaled_network(KAN(KANConfig((2, 2))), factor)
