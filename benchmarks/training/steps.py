"""The networks that take steps, and what a step of each costs."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.common.peer_networks import SEED, efficient_kan, inkan_network, mlp_of_equal_parameters, pykan_speed
from benchmarks.common.timing import Timing, interleave
from kan_model import KAN, KANConfig

OURS, UNEVEN, EFFICIENT, PYKAN, INKAN, MLP = (
    "ours",
    "ours, adapted grids",
    "efficient-kan",
    "pykan, speed mode",
    "inkan",
    "MLP of equal parameters",
)


@dataclass(frozen=True)
class Case:
    """A cubic KAN, a batch, and the bounds of its step.

    Attributes:
        width: Nodes per level, inputs first.
        grid_size: Number of intervals of every spline.
        rows: Rows of the batch.
        over_efficient: How many times faster than efficient-kan a step must be, and is aimed to be.
        over_mlp: The largest ratio to the MLP's time that must hold, and that is aimed at.
        over_pykan: How many times faster than pykan a step must be.
    """

    width: tuple[int, ...]
    grid_size: int
    rows: int
    over_efficient: tuple[float, float]
    over_mlp: tuple[float, float]
    over_pykan: float

    @property
    def name(self) -> str:
        """As in the table: [64,64] G=5."""
        return f"[{','.join(map(str, self.width))}] G={self.grid_size}"


CASES = (
    Case((2, 5, 1), 5, 1024, (3, 5), (3, 2), 5),
    Case((64, 64), 5, 1024, (2.4, 3.1), (1.8, 1.4), 20),
    Case((784, 64, 10), 5, 64, (2.6, 3.1), (1.8, 1.4), 13),
    Case((784, 64, 10), 5, 1024, (4, 8), (3, 2), 25),
    Case((16, 32, 4), 20, 1024, (3, 5), (3.5, 2), 5),
)


def measure(case: Case, seconds: float, min_rounds: int) -> dict[str, Timing]:
    """The time of a step (forward, backward, fused Adam) of each network, interleaved."""
    networks = {
        OURS: new_kan(case),
        UNEVEN: _uneven(new_kan(case)),
        EFFICIENT: efficient_kan(new_kan(case)),
        PYKAN: pykan_speed(new_kan(case)),
        INKAN: inkan_network(new_kan(case), "local"),
        MLP: mlp_of_equal_parameters(new_kan(case)),
    }
    x, y = batch(case)
    steps = [new_step(network, x, y) for network in networks.values()]
    return dict(zip(networks, interleave(steps, seconds, min_rounds), strict=True))


def new_kan(case: Case) -> KAN:
    """Our network, with the paper's random start."""
    return KAN(KANConfig(case.width, grid_size=case.grid_size), seed=SEED)


def batch(case: Case) -> tuple[Tensor, Tensor]:
    """Random rows in the domain, and targets."""
    random = torch.Generator().manual_seed(SEED)
    rows = torch.rand(case.rows, case.width[0], generator=random) * 2 - 1
    return rows, torch.randn(case.rows, case.width[-1], generator=random)


def new_step(network: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    """A function that takes one step of Adam on the mean squared error."""
    optimizer = torch.optim.Adam([each for each in network.parameters() if each.requires_grad], fused=True)

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward((network(x) - y).square().mean())
        optimizer.step()

    return step


def _uneven(kan: KAN) -> KAN:
    """The same network on grids whose intervals differ in width, up to four times."""
    random = torch.Generator().manual_seed(SEED)
    layers = []
    for layer in kan.layers:
        knots = layer.all_knots()
        widths = torch.rand(knots[:, 1:].shape, generator=random) * 3 + 1
        inner = torch.cumsum(widths, dim=1)
        begin, end = inner[:, layer.degree - 1 : layer.degree], inner[:, -layer.degree - 1 : -layer.degree]
        low, high = layer.domain[:, :1], layer.domain[:, 1:]
        edges = torch.cat([torch.zeros_like(begin), inner], dim=1)
        layers.append(layer.changed(knots=low + (edges - begin) / (end - begin) * (high - low)))
    return KAN.of_layers(layers)
