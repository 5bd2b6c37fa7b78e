"""Networks on common grids answer as before, and can be one network."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from kan_model import KAN, KANConfig, adapt_grid, align_grids, mean_network
from kan_model.grids.refinement import refine_grid
from kan_model.network.layer import Outside

ROWS = 120


def rows(seed: int = 0) -> Tensor:
    """``[120, 3]``, float64, in and out of [-1, 1]."""
    return torch.randn(ROWS, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def network(
    sizes: Sequence[int], seed: int, *, degree: int = 3, outside: Outside = "clamp", adapted: bool = False
) -> KAN:
    """[3, 4, 2] on the first grid, its grids moved to the rows, then refined to the others in turn."""
    config = KANConfig((3, 4, 2), grid_size=sizes[0], degree=degree, outside=outside, noise=0.5)
    kan = KAN(config, seed=seed, dtype=torch.float64)
    for size in sizes:
        kan = adapt_grid(kan, rows(), grid_size=size, max_moved=math.inf).kan if adapted else refine_grid(kan, size)
    return kan


def answers(kan: KAN, x: Tensor) -> Tensor:
    """Without gradients."""
    with torch.no_grad():
        result: Tensor = kan(x)
    return result


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("adapted", [False, True])
def test_answers_stay_and_the_mean_is_a_network(degree: int, adapted: bool) -> None:
    """Fits that ended on 3, 6 and 7 intervals, uniform or at the data: to 1e-10 for every row under clamp."""
    members = [network(sizes, seed, degree=degree, adapted=adapted) for seed, sizes in enumerate([(3,), (3, 6), (7,)])]
    with pytest.raises(ValueError, match="grid_size"):
        mean_network(members)
    aligned = align_grids(members)
    x = 3 * rows(1)
    for before, after in zip(members, aligned, strict=True):
        torch.testing.assert_close(answers(after, x), answers(before, x), rtol=1e-10, atol=1e-10)
        assert after.layers[1].grid_size == 7
        assert torch.equal(after.layers[0].all_knots(), aligned[0].layers[0].all_knots())
    wanted = torch.stack([answers(member, x) for member in members]).mean(dim=0)
    torch.testing.assert_close(answers(mean_network(aligned), x), wanted, rtol=1e-10, atol=1e-10)


def test_the_first_layer_has_the_knots_of_all() -> None:
    """Thirds and halves make four intervals; quarters that are halves too are not counted twice."""
    members = [KAN(KANConfig((1, 1), grid_size=size, domain=(0.0, 12.0)), dtype=torch.float64) for size in (3, 2, 4)]
    knots = align_grids(members)[0].layers[0].all_knots()[0]
    assert knots[3:-3].tolist() == pytest.approx([0, 3, 4, 6, 8, 9, 12])
    assert [len(align_grids(members[:2])[0].layers[0].all_knots()[0]) - 6] == [5]


def test_inputs_get_equally_many_intervals() -> None:
    """Where the networks' knots coincide at one input only, its widest intervals are halved."""
    first, second = (network((4,), seed) for seed in (0, 1))
    knots = first.layers[0].all_knots().clone()
    knots[1, 4:6] += 0.1
    moved = KAN.of_layers([second.layers[0].changed(knots=knots), second.layers[1]])
    for before, after in zip((first, moved), align_grids([first, moved]), strict=True):
        assert after.layers[0].grid_size == 6
        torch.testing.assert_close(answers(after, rows()), answers(before, rows()), rtol=1e-11, atol=1e-11)


def test_networks_on_common_grids_stay_as_they_are() -> None:
    """Bit for bit, uniform grids too, and no memory is shared."""
    members = [network((4,), seed) for seed in (0, 1)]
    for before, after in zip(members, align_grids(members), strict=True):
        assert torch.equal(answers(before, rows()), answers(after, rows()))
        assert after.layers[0].knots is None
        assert after.layers[1].coefficients.data_ptr() != before.layers[1].coefficients.data_ptr()


def test_under_decay_answers_stay_inside_the_domain() -> None:
    """One layer: inside the domain the same; outside, tails get shorter with the intervals."""
    config = [KANConfig((3, 2), grid_size=size, outside="decay", noise=0.5) for size in (3, 4)]
    members = [KAN(each, seed=seed, dtype=torch.float64) for seed, each in enumerate(config)]
    inside = rows().clamp(-1, 1)
    for before, after in zip(members, align_grids(members), strict=True):
        torch.testing.assert_close(answers(after, inside), answers(before, inside), rtol=1e-11, atol=1e-11)


def test_in_float32_knots_that_differ_by_rounding_are_one() -> None:
    """Two grids that are the same to rounding get no intervals of almost no width."""
    first, second = (network((4,), seed).float() for seed in (0, 1))
    knots = first.layers[0].all_knots() * (1 + 2**-22)
    second = KAN.of_layers([second.layers[0].changed(knots=knots), second.layers[1]])
    assert [kan.layers[0].grid_size for kan in align_grids([first, second])] == [4, 4]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (KANConfig((2, 4, 2)), "member 1 has inputs and degrees"),
        (KANConfig((3, 4, 4, 2)), "member 1 has inputs and degrees"),
        (KANConfig((3, 4, 2), degree=2), "member 1 has inputs and degrees"),
        (KANConfig((3, 4, 2), grid_size=3, domain=((-1, 1), (-1, 2), (-1, 1))), r"domain \(-1.0, 2.0\) for input 1"),
    ],
)
def test_networks_without_common_grids_are_refused(config: KANConfig, message: str) -> None:
    """Other inputs, layers, degrees or domains: the message names the member and what differs."""
    with pytest.raises(ValueError, match=message):
        align_grids([KAN(KANConfig((3, 4, 2))), KAN(config)])
    with pytest.raises(ValueError, match="no members"):
        align_grids([])
