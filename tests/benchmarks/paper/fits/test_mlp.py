"""MLPs beside a KAN."""

import math

import pytest
import torch
from torch import nn

from benchmarks.paper.fits.mlp import equal_parameters, equal_seconds, fit_mlp, hidden_for, new_mlp
from benchmarks.paper.fits.points import Points, points_of
from benchmarks.paper.functions.toy import TOYS
from kan_model import parameter_count


@pytest.fixture(scope="module")
def points() -> Points:
    """Of x·y."""
    return points_of(TOYS[2], 0, 100, 50)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("parameters", [5, 72, 378])
def test_no_other_width_is_nearer(layers: int, parameters: int) -> None:
    """Of all equal widths up to 100, of several layers up to 30."""

    def distance(hidden: tuple[int, ...]) -> int:
        return abs(parameter_count(new_mlp(2, hidden, "tanh", 0)) - parameters)

    found = hidden_for(2, layers, parameters)
    widths = range(1, 101 if layers == 1 else 31)
    assert len(found) == layers
    assert distance(found) == min(distance((width,) * layers) for width in widths)


def test_the_start_is_the_seed_s() -> None:
    """It leaves the global generator alone; the activation is the one that is asked for."""
    before = torch.random.get_rng_state()
    first, again, other = (new_mlp(2, (4, 3), "silu", seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = [next(network.parameters()) for network in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert [type(each) for each in first] == [nn.Linear, nn.SiLU, nn.Linear, nn.SiLU, nn.Linear]


def test_large_networks_are_trained_by_lbfgs(points: Points) -> None:
    """Both optimizers lower the validation error."""
    for hidden in ((5,), (40, 20)):
        start = new_mlp(2, hidden, "tanh", 0)
        assert fit_mlp(points, start, 5).validation < fit_mlp(points, start, 1).validation


def test_mlps_of_equal_parameters_and_time(points: Points) -> None:
    """The first has the nearest number of parameters; without time the second still has some steps."""
    same_size = equal_parameters(points, 60, seed=0, steps=3)
    counts = {parameter_count(new_mlp(2, hidden_for(2, layers, 60), "tanh", 0)) for layers in (1, 2, 3)}
    assert same_size.parameters in counts
    same_time = equal_seconds(points, 0.0, seed=0)
    assert math.isfinite(same_time.test)
    assert max(same_size.validation, same_time.validation) < 1
