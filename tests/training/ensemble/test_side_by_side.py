"""Members side by side: one network answers what each of them answers."""

import torch

from kan_model import KAN, KANConfig
from training.ensemble.side_by_side import separate, side_by_side


def members(width: tuple[int, ...]) -> list[KAN]:
    """Three networks of one shape, float64."""
    return [KAN(KANConfig(width, grid_size=4), seed=seed, dtype=torch.float64) for seed in range(3)]


def test_outputs_are_the_members_outputs_in_turn() -> None:
    """With and without hidden layers."""
    x = torch.rand(50, 3, dtype=torch.float64) * 3 - 1.5
    for width in ((3, 4, 5, 2), (3, 4, 2), (3, 2)):
        some = members(width)
        torch.testing.assert_close(side_by_side(some)(x), torch.cat([member(x) for member in some], dim=1))


def test_members_come_back() -> None:
    """The same numbers, in memory of their own."""
    some = members((3, 4, 2))
    joined = side_by_side(some)
    back = separate(joined, 3)
    for member, other in zip(some, back, strict=True):
        for layer, mirrored in zip(member.layers, other.layers, strict=True):
            assert torch.equal(layer.coefficients, mirrored.coefficients)
            assert torch.equal(layer.base_weight, mirrored.base_weight)
    with torch.no_grad():
        joined.layers[0].coefficients.zero_()
    assert back[0].layers[0].coefficients.abs().sum() > 0


def test_no_step_connects_members() -> None:
    """The gradient of one member's answers leaves the other members' parameters alone."""
    joined = side_by_side(members((3, 4, 2)))
    joined(torch.rand(20, 3, dtype=torch.float64))[:, :2].square().sum().backward()
    for layer in joined.layers:
        gradient = layer.coefficients.grad
        assert gradient is not None
        share = layer.outputs // 3
        assert gradient[:share].abs().sum() > 0
        assert gradient[share:].abs().sum() == 0
    last = joined.layers[-1].coefficients.grad
    assert last is not None
    assert last[:, 4:].abs().sum() == 0
