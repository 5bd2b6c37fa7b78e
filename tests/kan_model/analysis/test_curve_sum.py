"""Networks as sums of curves and pairs: the parts add up to the answers, and other networks are told apart."""

import pytest
import torch

from kan_model import KAN, KANConfig, KANLayer, SymbolicEdge
from kan_model.analysis.curve_sum import read_curve_sum
from kan_model.network.products import Products


def _network(function: str = "x") -> KAN:
    """Four inputs, two outputs: a sum of curves each, and a product of inputs 0 and 1 with 2 in both."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(6, 4)
    mask[2], mask[4] = torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 0.0, 0.0])
    mask[3], mask[5] = torch.tensor([0.0, 0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0, 0.0])
    first = KANLayer(
        torch.zeros(6, 4),
        torch.randn(6, 4, 8, generator=generator),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]] * 4),
        edge_mask=mask,
        bias=torch.randn(6, generator=generator),
        products=Products(((0,), (1,), (2, 3), (4, 5))),
    )
    edges = [SymbolicEdge(output, output, function, 2.0, 0.5, 1.5, 0.25) for output in range(2)]
    edges += [SymbolicEdge(output, node, "x", 1.0, 0.0, -0.5 + output, 0.0) for output in range(2) for node in (2, 3)]
    behind = KANLayer(
        torch.zeros(2, 4),
        torch.zeros(2, 4, 4),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]] * 4),
        edge_mask=torch.zeros(2, 4),
        symbolic=edges,
    )
    return KAN.of_layers([first, behind]).double()


def test_constant_curves_and_pairs_add_up_to_the_answers() -> None:
    """In float64, inside and outside the domain; both nodes of the same inputs are one pair."""
    kan = _network()
    x = 2 * torch.randn(50, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = read_curve_sum(kan)
    assert found is not None
    assert [(pair.first, pair.second, pair.nodes) for pair in found.pairs] == [((0, 1), (2,), (2, 3))]
    with torch.no_grad():
        whole = found.constant() + found.edges(x).sum(dim=2) + found.products(found.pairs[0], x)
        torch.testing.assert_close(whole, kan(x), rtol=1e-9, atol=1e-9)


def test_one_layer_is_a_sum_of_curves() -> None:
    """Without pairs, its edges are the curves."""
    kan = KAN(KANConfig((3, 2)), seed=1).double()
    x = torch.rand(20, 3, dtype=torch.float64)
    found = read_curve_sum(kan)
    assert found is not None
    assert found.pairs == ()
    with torch.no_grad():
        torch.testing.assert_close(found.constant() + found.edges(x).sum(dim=2), kan(x))


@pytest.mark.parametrize("kan", [KAN(KANConfig((3, 2, 1))), KAN(KANConfig((3, (1, 1)))), _network("sin")])
def test_other_networks_are_no_such_sum(kan: KAN) -> None:
    """Splines or a sine behind the first layer, and a product that is an output itself."""
    assert read_curve_sum(kan) is None


def test_a_product_of_three_sums_is_no_pair() -> None:
    """It has no picture."""
    kan = _network()
    products = Products(((0,), (1,), (2, 3, 4), (5,)))
    assert read_curve_sum(KAN.of_layers([kan.layers[0].changed(products=products), kan.layers[1]])) is None
