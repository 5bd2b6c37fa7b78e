"""Networks of six inputs, of which the first two rise and the third falls, in the states of a fit."""

import math
from collections.abc import Callable

import pytest
import torch

from kan_model import KAN, KANConfig, adapt_grid, align_grids, mean_network, prune, refine_grid, with_monotone_inputs

INPUTS = (1, 1, -1, 0, 0, 0)


def scrambled(
    seed: int,
    width: tuple[int, ...] = (6, 8, 4, 1),
    outputs: tuple[int, ...] = (1,),
    inputs: tuple[int, ...] = INPUTS,
) -> KAN:
    """A network whose parameters are normal numbers, in no order at all."""
    kan = KAN(KANConfig(width, hidden_domain=(-3.0, 3.0)), seed=seed, dtype=torch.float64)
    kan = with_monotone_inputs(kan, inputs, outputs)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in kan.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return kan


def stepped(kan: KAN, steps: int = 30) -> KAN:
    """The network after steps of Adam towards a target that falls where it must rise."""
    rows = torch.rand(256, 6, generator=torch.Generator().manual_seed(9), dtype=torch.float64) * 2 - 1
    target = torch.sin(4 * rows[:, 0]) - rows[:, 1] + rows[:, 2] * rows[:, 3]
    optimizer = torch.optim.Adam(kan.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        (kan(rows)[:, 0] - target).square().mean().backward()
        optimizer.step()
    return kan


def rows() -> torch.Tensor:
    """Uneven rows, so that adapted knots are uneven too."""
    uniform = torch.rand(400, 6, generator=torch.Generator().manual_seed(8), dtype=torch.float64) * 2 - 1
    return uniform.pow(3)


STATES: dict[str, Callable[[], KAN]] = {
    "random parameters": lambda: scrambled(0),
    "after optimizer steps": lambda: stepped(scrambled(1)),
    "after steps on a refined grid": lambda: stepped(refine_grid(stepped(scrambled(2)), 8)),
    "after steps on an adapted grid": lambda: stepped(adapt_grid(scrambled(3), rows(), max_moved=math.inf).kan),
    "pruned": lambda: prune(stepped(scrambled(4)), rows(), edges=30, keep_inputs=True).kan,
    "mean of three on different grids": lambda: mean_network(
        align_grids([stepped(scrambled(5)), stepped(scrambled(6)), refine_grid(scrambled(7), 7)])
    ),
    "two classes": lambda: scrambled(8, (6, 6, 2), (-1, 1)),
    "one layer": lambda: scrambled(9, (6, 1)),
}


@pytest.fixture(params=STATES)
def state(request: pytest.FixtureRequest) -> KAN:
    """A network in each of these states."""
    made: KAN = STATES[request.param]()
    return made
