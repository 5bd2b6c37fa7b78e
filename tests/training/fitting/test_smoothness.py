"""The price on second differences."""

import pytest
import torch
from scipy.interpolate import BSpline

from kan_model import KAN, KANConfig
from training.fitting.smoothness import roughness


def test_a_straight_line_is_free_and_a_parabola_costs_its_second_derivative() -> None:
    """On a uniform cubic grid of width h, x² has second differences of 2·h² everywhere."""
    kan = KAN(KANConfig((1, 1), grid_size=6, domain=(0.0, 3.0)), dtype=torch.float64)
    layer = kan.layers[0]
    knots = layer.all_knots()[0].detach().numpy()
    greville = [knots[m + 1 : m + 4].mean() for m in range(9)]
    with torch.no_grad():
        layer.coefficients[0, 0] = torch.tensor(greville) * 2 - 1
        assert float(roughness(kan)) < 1e-20
        # The coefficients of x² are the products of two knots, averaged over all pairs of the three.
        layer.coefficients[0, 0] = torch.tensor(
            [(a * b + a * c + b * c) / 3 for a, b, c in (knots[m + 1 : m + 4] for m in range(9))]
        )
        assert BSpline(knots, layer.coefficients[0, 0].numpy(), 3)(1.7) == pytest.approx(1.7**2)
        torch.testing.assert_close(roughness(kan), torch.tensor(7 * (2 * 0.5**2) ** 2, dtype=torch.float64))


def test_all_layers_and_edges_count() -> None:
    """The sum over every edge of every layer, with a gradient."""
    kan = KAN(KANConfig((2, 3, 2)), seed=0)
    rough = roughness(kan)
    expected = sum(float(torch.diff(layer.coefficients.detach(), n=2, dim=-1).square().sum()) for layer in kan.layers)
    assert float(rough.detach()) == pytest.approx(expected)
    rough.backward()  # type: ignore[no-untyped-call]
    assert kan.layers[1].coefficients.grad is not None
