"""The random starts, against their definitions and against moments taken from samples."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.interpolate import BSpline
from torch import Tensor

from kan_model import KAN, KANConfig
from kan_model.network.initialization import (
    INITIALIZATIONS,
    Initialization,
    LayerShape,
    power_law,
    silu_moments,
    spline_moments,
    variance_preserving,
)

UNIT = torch.tensor([[-1.0, 1.0]], dtype=torch.float64)


def shape(inputs: int, outputs: int, grid_size: int = 5, domain: Tensor = UNIT) -> LayerShape:
    """A layer with cubic splines on this domain, whose nodes are read on [-1, 1]."""
    return LayerShape(outputs, grid_size, 3, domain.expand(inputs, 2), (-1.0, 1.0), 0.1)


def gains(kan: KAN, x: Tensor) -> tuple[float, float]:
    """Mean square of the outputs over that of x, and of the gradients by x of output gradients of variance 1."""
    outputs = kan(x.requires_grad_())
    of_outputs = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    (of_x,) = torch.autograd.grad(outputs, x, of_outputs)
    return float((outputs.square().mean() / x.square().mean()).detach()), float(of_x.square().mean())


def uniform(rows: int, inputs: int) -> Tensor:
    """Rows that fill [-1, 1] evenly."""
    return torch.rand(rows, inputs, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1


def test_the_papers_start_is_drawn_as_ever() -> None:
    """Normal coefficients first, then uniform base weights, layer by layer from one generator: the same bits."""
    kan = KAN(KANConfig((4, 3, 2), grid_size=6, noise=0.3), seed=11)
    generator = torch.Generator().manual_seed(11)
    for layer, (inputs, outputs) in zip(kan.layers, ((4, 3), (3, 2)), strict=True):
        draws = torch.randn(outputs, inputs, 9, generator=generator, dtype=torch.float64)
        base = (torch.rand(outputs, inputs, generator=generator, dtype=torch.float64) * 2 - 1) * math.sqrt(
            6 / (inputs + outputs)
        )
        assert torch.equal(layer.coefficients, (draws * (0.3 / math.sqrt(inputs))).float())
        assert torch.equal(layer.base_weight, base.float())


@pytest.mark.parametrize("initialization", INITIALIZATIONS)
def test_a_seed_gives_one_network(initialization: Initialization) -> None:
    """Whatever torch's global generator; another seed gives another network."""
    config = KANConfig((3, 4, 1), initialization=initialization)
    torch.manual_seed(1)
    first = KAN(config, seed=5)
    torch.manual_seed(2)
    second, other = KAN(config, seed=5), KAN(config, seed=6)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(("inputs", "grid_size"), [(2, 3), (40, 10)])
def test_the_power_law_has_its_exponents(inputs: int, grid_size: int) -> None:
    """Standard deviations (inputs · (G + 4))^-0.25 and ^-1.75, within the sampling error of thousands of weights."""
    base, coefficients = power_law(shape(inputs, 4000, grid_size), torch.Generator().manual_seed(0))
    terms = inputs * (grid_size + 4)
    assert float(base.std()) == pytest.approx(terms**-0.25, rel=0.04)
    assert float(coefficients.std()) == pytest.approx(terms**-1.75, rel=0.02)


@pytest.mark.parametrize(("grid_size", "degree"), [(1, 1), (5, 2), (4, 3), (20, 3), (7, 5)])
def test_moments_of_splines_are_those_of_scipys_basis(grid_size: int, degree: int) -> None:
    """The closed forms equal SciPy's basis functions and derivatives, integrated interval by interval."""
    low, high = -0.5, 2.0
    step = (high - low) / grid_size
    knots = low + step * np.arange(-degree, grid_size + degree + 1)
    value = slope = 0.0
    nodes, weights = np.polynomial.legendre.leggauss(degree + 1)
    for cell in range(grid_size):
        x = low + step * (cell + (nodes + 1) / 2)
        for m in range(grid_size + degree):
            spline = BSpline(knots, np.eye(grid_size + degree)[m], degree)
            value += float(weights @ spline(x) ** 2) / (2 * grid_size)
            slope += float(weights @ spline(x, 1) ** 2) / (2 * grid_size)
    found = spline_moments(torch.tensor([[low, high]], dtype=torch.float64), grid_size, degree)
    assert [float(each) for each in found] == pytest.approx([value, slope], rel=1e-9)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 3.0), (-200.0, 50.0)])
def test_moments_of_silu_are_its_integrals(low: float, high: float) -> None:
    """SciPy's quadrature of silu² and of the square of its derivative."""

    def gate(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    def slope(x: float) -> float:
        return gate(x) * (1 + x * (1 - gate(x)))

    squares = (lambda x: (x * gate(x)) ** 2, lambda x: slope(x) ** 2)
    wanted = [quad(square, low, high, points=[0.0], limit=200)[0] / (high - low) for square in squares]
    found = silu_moments(torch.tensor([[low, high]], dtype=torch.float64))
    assert [float(each) for each in found] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("grid_size", [3, 20])
@pytest.mark.parametrize(("inputs", "outputs"), [(40, 40), (20, 60), (60, 20)])
def test_the_gains_of_a_layer_have_the_mean_1(inputs: int, outputs: int, grid_size: int) -> None:
    """Forward and backward gain from samples, a mean over seeds, for any shape and grid."""
    config = KANConfig((inputs, outputs), grid_size, initialization="variance-preserving")
    found = [gains(KAN(config, seed=seed, dtype=torch.float64), uniform(500, inputs)) for seed in range(20)]
    assert float(np.mean(found)) == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_variances_are_kept_over_depths_where_the_papers_fade(depth: int) -> None:
    """Each layer of equal width keeps a half or more of node values and gradients; the paper's halve both and more."""
    width = (64,) * (depth + 1)
    kept, fading = (
        gains(KAN(KANConfig(width, initialization=name), seed=3, dtype=torch.float64), uniform(500, 64))
        for name in ("variance-preserving", "paper")
    )
    forward, backward = kept
    assert 0.8**depth <= forward <= 1.2**depth
    assert 0.8**depth <= backward <= 1.3**depth
    assert max(fading) <= 0.5**depth


def test_inputs_of_other_units_count_the_same() -> None:
    """An input on [0, 1000] and one on [-0.01, 0.01] give parts of f + b of the same size as one on [-1, 1]."""
    domain = torch.tensor([[-1.0, 1.0], [0.0, 1000.0], [-0.01, 0.01]], dtype=torch.float64)
    base, coefficients = variance_preserving(shape(3, 5000, domain=domain), torch.Generator().manual_seed(0))
    spread = (domain[:, 1] - domain[:, 0]).square() / 12
    (silu, silu_slope), (splines, spline_slopes) = silu_moments(domain), spline_moments(domain, 5, 3)
    base_variance, spline_variance = base.var(dim=0), coefficients.var(dim=(0, 2))
    forward = 3 * (base_variance * silu + spline_variance * splines)
    backward = 5000 * spread * (base_variance * silu_slope + spline_variance * spline_slopes)
    assert ((forward + backward) * 3).tolist() == pytest.approx([2.0] * 3, rel=0.05)  # v' is 1/3.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initialization": "xavier"}, 'initialization is \'xavier\'; wanted one of "paper", "power-law"'),
        ({"initialization": "power-law", "noise": 0.3}, 'noise is 0.3 and initialization "power-law"'),
    ],
)
def test_an_unknown_start_is_refused_and_noise_where_it_is_not_read(options: dict[str, object], message: str) -> None:
    """The error says what came and what was wanted."""
    with pytest.raises(ValueError, match=message):
        KANConfig((3, 1), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("initialization", INITIALIZATIONS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degree": 0}, "degree is 0; wanted 1 to 5"),
        ({"degree": 6}, "degree is 6; wanted 1 to 5"),
        ({"domain": (1.0, 1.0)}, "strictly increasing"),
        ({"domain": (0.0, math.inf)}, "finite"),
    ],
)
def test_a_grid_that_makes_no_spline_is_refused_from_every_start(
    initialization: Initialization, options: dict[str, Any], message: str
) -> None:
    """The moments of such a basis are not computed: the message is that of the grid."""
    with pytest.raises(ValueError, match=message):
        KAN(KANConfig((2, 1), initialization=initialization, **options))
