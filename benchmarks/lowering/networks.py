"""The networks that are measured, and the bounds that our graphs must keep on them."""

from dataclasses import dataclass

import torch

from kan_model import KAN, KANConfig, KANLayer
from kan_model.network.layer import Outside

SEED = 0
POLICIES: tuple[Outside, ...] = ("clamp", "decay")
ROW_COUNTS = (1, 32, 1024)
# Half the domain of the first layer, so that some hidden activations are outside, as in trained networks.
HIDDEN_DOMAIN = (-0.5, 0.5)
# The ratio of the widest to the narrowest interval of a grid that is not uniform.
WIDTH_RATIO = 4.0


@dataclass(frozen=True)
class Bounds:
    """One number for each of ROW_COUNTS.

    Attributes:
        must: The bounds that must hold.
        aim: The bounds that are aimed at; None: there are none.
    """

    must: tuple[float, float, float]
    aim: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Network:
    """A cubic KAN with random weights, and its bounds.

    Attributes:
        name: Name in the table.
        width: Nodes per level, inputs first.
        grid_size: Number of intervals of every spline.
        speedup: For each policy the smallest ratio of efficient-kan's time to ours.
        over_matmul: The largest ratio of our time to the bare MatMul's under clamp; None: there is no bound.
        memory_mb: The largest growth over the loaded session for the largest batch; None: there is no bound.
        uniform: False: every input has its own grid, with intervals of random widths.
    """

    name: str
    width: tuple[int, ...]
    grid_size: int
    speedup: dict[Outside, Bounds]
    over_matmul: Bounds | None = None
    memory_mb: float | None = None
    uniform: bool = True


NETWORKS = (
    Network(
        "[64,64] G=5",
        (64, 64),
        5,
        {"clamp": Bounds((2.5, 7, 9), (3, 10, 13)), "decay": Bounds((2.3, 5.5, 6.5))},
        over_matmul=Bounds((1.7, 1.7, 1.7), (1.3, 1.3, 1.3)),
    ),
    Network(
        "[784,64,10] G=5",
        (784, 64, 10),
        5,
        {"clamp": Bounds((3.5, 7, 11), (4.5, 10, 16)), "decay": Bounds((2.8, 5, 7))},
        memory_mb=40,
    ),
    Network("[16,32,4] G=8", (16, 32, 4), 8, {"clamp": Bounds((2, 5, 7), (3, 7, 10)), "decay": Bounds((2, 4.2, 5))}),
    Network(
        "[64,64] G=5, non-uniform",
        (64, 64),
        5,
        {"clamp": Bounds((1.3, 1.8, 2), (2, 3, 4)), "decay": Bounds((1.3, 1.8, 2))},
        uniform=False,
    ),
    Network("[64,64] G=100", (64, 64), 100, {"clamp": Bounds((3, 3.5, 8), (4, 5, 14)), "decay": Bounds((3, 3.5, 8))}),
)


def build(network: Network, outside: Outside) -> KAN:
    """The network with a policy; both policies have the same weights."""
    config = KANConfig(network.width, network.grid_size, outside=outside, hidden_domain=HIDDEN_DOMAIN)
    kan = KAN(config, seed=SEED)
    if network.uniform:
        return kan
    generator = torch.Generator().manual_seed(SEED)
    return KAN.of_layers([_set_random_grids(layer, generator) for layer in kan.layers])


def _set_random_grids(layer: KANLayer, generator: torch.Generator) -> KANLayer:
    """The layer with the same weights on grids whose intervals have random widths, one grid per input."""
    degree, intervals = layer.degree, layer.grid_size + 2 * layer.degree
    draws = torch.rand(layer.inputs, intervals, generator=generator, dtype=torch.float64)
    steps = torch.cumsum(1 + (WIDTH_RATIO - 1) * draws, dim=1)
    steps = torch.cat([torch.zeros_like(steps[:, :1]), steps], dim=1)
    first, last = steps[:, degree, None], steps[:, -degree - 1, None]
    low, high = layer.domain[:, :1].double(), layer.domain[:, 1:].double()
    knots = low + (high - low) * (steps - first) / (last - first)
    return KANLayer(
        layer.base_weight.detach(),
        layer.coefficients.detach(),
        degree=degree,
        outside=layer.outside,
        knots=knots.to(layer.domain.dtype),
        edge_mask=layer.edge_mask,
    )
