"""Members of every kind, and the mean of their answers."""

import itertools
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from kan_model import KAN, KANConfig
from kan_model.grids.refinement import replace_knots
from kan_model.network.layer import KANLayer, Outside
from kan_model.network.symbolic_edge import SymbolicEdge

MakeMembers = Callable[..., list[KAN]]


@pytest.fixture(scope="session")
def rows() -> Tensor:
    """``[260, 3]``, float64: inside the domain, some outside, some far away."""
    generator = torch.Generator().manual_seed(7)
    near = torch.randn(240, 3, dtype=torch.float64, generator=generator)
    return torch.cat([near, 1e4 * torch.randn(20, 3, dtype=torch.float64, generator=generator)])


@pytest.fixture(scope="session")
def mean_of() -> Callable[[Sequence[KAN], Tensor], Tensor]:
    """The mean of the networks' answers, by torch."""

    def mean(kans: Sequence[KAN], x: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.stack([kan(x) for kan in kans]).mean(dim=0)

    return mean


@pytest.fixture
def make_members() -> MakeMembers:
    """Three members [3, …, 2] with 1 to 3 layers; member m has m nodes more in each hidden level than member 0.

    ``uneven`` gives all first layers the same knots that are not uniform, and the hidden layers of members 1 and 2
    their own. ``mixed`` gives each member masked edges, biases and symbolic edges at places of its own.
    """

    def make(
        depth: int = 3,
        *,
        degree: int = 3,
        outside: Outside = "clamp",
        uneven: bool = False,
        mixed: bool = False,
        dtype: torch.dtype = torch.float64,
    ) -> list[KAN]:
        members = []
        for index in range(3):
            width = (3, *(nodes + index for nodes in (4, 3)[: depth - 1]), 2)
            domain = ((-2.0, 1.0), (-1.0, 1.0), (-1.0, 3.0))
            config = KANConfig(width, degree=degree, outside=outside, domain=domain, noise=0.5)
            layers = list(KAN(config, seed=index, dtype=torch.float64).layers)
            if uneven:
                layers = [_on_other_knots(each, seed=(0, index)[number > 0]) for number, each in enumerate(layers)]
            if mixed:
                layers = [_mixed(each, seed=10 * index + number) for number, each in enumerate(layers)]
            members.append(KAN.of_layers(layers).to(dtype))
        return members

    return make


def _on_other_knots(layer: KANLayer, seed: int) -> KANLayer:
    """Uneven knots around 0, others for each seed; a hidden layer of seed 0 stays uniform."""
    if seed == 0 and layer.inputs != 3:
        return layer
    generator = torch.Generator().manual_seed(seed)
    steps = torch.rand(layer.inputs, layer.all_knots().shape[1], dtype=torch.float64, generator=generator) + 0.2
    knots = torch.cumsum(steps, dim=1)
    return replace_knots(layer, knots - (knots[:, layer.degree] + knots[:, -layer.degree - 1]).unsqueeze(1) / 2)


def _mixed(layer: KANLayer, seed: int) -> KANLayer:
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(layer.outputs, layer.inputs, generator=generator) < 0.7).double()
    places = list(itertools.product(range(layer.outputs), range(layer.inputs)))
    (output, input_), (other, read) = (places[each] for each in torch.randperm(len(places), generator=generator)[:2])
    edges = [
        SymbolicEdge(output, input_, "sin", 1.5, 0.25, 0.5 + seed, -0.125),
        SymbolicEdge(other, read, "gaussian", 1.0, 0.0, 0.25, 1.5 + seed),
    ]
    bias = torch.randn(layer.outputs, dtype=torch.float64, generator=generator)
    return layer.changed(edge_mask=mask, symbolic=edges, bias=bias if seed % 3 else None)
