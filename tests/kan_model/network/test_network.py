"""Whole networks: shapes, seeds, refusals."""

import pytest
import torch

from kan_model import KAN, KANConfig, SymbolicEdge, parameter_count


@pytest.mark.parametrize("width", [(1, 1), (2, 5, 1), (7, 3, 4, 2)])
@pytest.mark.parametrize("degree", [1, 5])
def test_any_width_and_depth(width: tuple[int, ...], degree: int) -> None:
    """Rows go in as wide as the first number, come out as wide as the last."""
    kan = KAN(KANConfig(width=width, grid_size=4, degree=degree))
    assert kan.width == width
    assert kan(torch.zeros(6, width[0])).shape == (6, width[-1])


def test_the_same_seed_gives_the_same_network() -> None:
    """Starting weights depend on the seed alone, not on torch's global generator."""
    config = KANConfig((3, 2))
    torch.manual_seed(1)
    first = KAN(config, seed=5)
    torch.manual_seed(2)
    second, other = KAN(config, seed=5), KAN(config, seed=6)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.layers[0].base_weight, other.layers[0].base_weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": (3,)}, "at least two"),
        ({"width": (3, 0)}, "1 or more"),
        ({"width": (3, 1), "grid_size": 0}, "grid_size is 0"),
        ({"width": (3, 1), "domain": ((0.0, 1.0), (0.0, 1.0))}, "each of 3 inputs"),
    ],
)
def test_a_width_that_is_no_network_is_refused(options: dict[str, object], message: str) -> None:
    """The error says what came and what was wanted."""
    with pytest.raises(ValueError, match=message):
        KANConfig(**options)  # type: ignore[arg-type]


def test_layers_that_do_not_follow_each_other_are_refused() -> None:
    """Outputs of one are inputs of the next."""
    a, b = KAN(KANConfig((2, 3))).layers[0], KAN(KANConfig((4, 1))).layers[0]
    with pytest.raises(ValueError, match=r"3 outputs .* 4"):
        KAN.of_layers([a, b])
    with pytest.raises(ValueError, match="no layers"):
        KAN.of_layers([])


def test_edges_that_are_not_there_do_not_count_and_symbolic_ones_have_four_numbers() -> None:
    """[2, 3] at G = 5: 6 edges of 9; one is away, one symbolic; 3 biases."""
    layer = KAN(KANConfig((2, 3))).layers[0]
    mask = torch.ones(3, 2)
    mask[0, 0] = 0
    layer = layer.changed(edge_mask=mask, symbolic=[SymbolicEdge(1, 1, "sin", 1, 0, 1, 0)], bias=torch.zeros(3))
    assert parameter_count(KAN.of_layers([layer])) == 4 * 9 + 4 + 3
