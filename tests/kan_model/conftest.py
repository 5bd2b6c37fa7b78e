"""Networks for the tests."""

from collections.abc import Callable, Iterator

import pytest
import torch

from kan_model import KAN, KANConfig
from kan_model.grids.refinement import replace_knots
from kan_model.network.layer import Outside
from kan_model.network.network import Level

MakeKAN = Callable[..., KAN]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small linear systems: on a busy machine, threads that wait for each other take a hundred times longer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_kan() -> MakeKAN:
    """A KAN with uneven domains; ``uneven=True`` also gives its first layer knots that are not uniform."""

    def make(
        width: tuple[Level, ...] = (3, 4, 2),
        *,
        arity: int = 2,
        grid_size: int = 5,
        degree: int = 3,
        outside: Outside = "clamp",
        dtype: torch.dtype = torch.float64,
        uneven: bool = False,
        seed: int = 0,
    ) -> KAN:
        inputs = width[0]
        assert isinstance(inputs, int)
        domain = tuple((-1.0 - i / 2, 1.0 + i / 3) for i in range(inputs))
        config = KANConfig(
            width, grid_size=grid_size, degree=degree, outside=outside, domain=domain, noise=0.5, arity=arity
        )
        kan = KAN(config, seed=seed, dtype=dtype)
        if not uneven:
            return kan
        generator = torch.Generator().manual_seed(seed)
        steps = torch.rand(inputs, grid_size + 2 * degree + 1, dtype=dtype, generator=generator) + 0.1
        knots = torch.cumsum(steps, dim=1)
        # Every domain has 0 in its middle, so that it overlaps the one it replaces.
        knots = knots - (knots[:, degree] + knots[:, -degree - 1]).unsqueeze(1) / 2
        return KAN.of_layers([replace_knots(kan.layers[0], knots), *kan.layers[1:]])

    return make
