"""Fitted curves as a network: the same answers, plain edges, and what a degenerate column becomes."""

import numpy as np
import torch

from kan_model.network.checkpoint import from_bytes, to_bytes
from kan_model.network.layer import KANLayer
from kan_model.network.straight import straight_inputs
from training.additive.network import network_of
from training.additive.newton import Curves, fit_squares
from training.additive.rows import TermRows
from training.additive.terms import terms_of


def _fit(columns: list[np.ndarray], y: np.ndarray, intervals: int = 8) -> tuple[torch.Tensor, TermRows, Curves]:
    x = torch.from_numpy(np.stack(columns, axis=1).astype(np.float32))
    domain = torch.stack([x.amin(dim=0), x.amax(dim=0)], dim=1)
    domain[domain[:, 0] == domain[:, 1]] = torch.tensor([-1.0, 1.0])
    count = len(columns)
    layer = KANLayer(
        torch.zeros(1, count), torch.zeros(1, count, intervals + 3), degree=3, outside="clamp", domain=domain
    )
    rows = TermRows.of(terms_of(layer, x.double(), range(count)), x.double())
    return x, rows, fit_squares(rows.sums(torch.from_numpy(y)[:, None]), rows.terms.widths)


def test_the_network_answers_as_the_curves_do_and_beyond_the_rows_as_at_their_ends() -> None:
    """No base branch: a value far outside is answered as the nearest end of the domain."""
    generator = np.random.default_rng(0)
    a, b = generator.uniform(-1, 1, size=(2, 200))
    two = np.where(generator.uniform(size=200) < 0.3, 1.0, -1.0)
    x, rows, fitted = _fit([a, b, two], np.sin(3 * a) + two + 0.1 * generator.normal(size=200))
    network = from_bytes(to_bytes(network_of(rows.terms, fitted.coefficients, torch.float32)))
    torch.testing.assert_close(network(x).double(), rows.answers(fitted.coefficients), rtol=1e-4, atol=1e-5)
    layer = network.layers[0]
    assert not bool(layer.base_weight.any())
    assert straight_inputs(layer).tolist() == [False, False, True]
    ends = torch.tensor([[float(a.max()), 0.0, 1.0], [1e6, 0.0, 1.0]])
    torch.testing.assert_close(*network(ends))


def test_the_bias_is_the_mean_answer_and_each_edge_has_mean_0() -> None:
    """So each curve is drawn as what its column adds."""
    generator = np.random.default_rng(1)
    a = generator.uniform(-1, 1, size=300)
    two = np.where(generator.uniform(size=300) < 0.2, 1.0, -1.0)
    y = np.exp(a) + 0.5 * two + 0.1 * generator.normal(size=300)
    x, rows, fitted = _fit([a, two], y)
    layer = network_of(rows.terms, fitted.coefficients, torch.float64).layers[0]
    assert layer.bias is not None
    np.testing.assert_allclose(layer.bias.item(), y.mean(), rtol=1e-6)
    np.testing.assert_allclose(layer.edge_outputs(x.double()).mean(dim=0).detach().numpy(), 0.0, atol=1e-9)


def test_constant_columns_have_no_edge_and_equal_columns_share_theirs() -> None:
    """A constant is pruned; of two equal columns the answer is the one that a single column gives."""
    generator = np.random.default_rng(2)
    a, noise = generator.uniform(-1, 1, size=200), generator.normal(size=200)
    y = np.sin(3 * a) + 0.2 * noise
    _, alone, by_one = _fit([a], y)
    _, twice, by_two = _fit([a, np.full(200, 0.5), a], y)
    layer = network_of(twice.terms, by_two.coefficients, torch.float64).layers[0]
    assert layer.edge_mask.tolist() == [[1.0, 0.0, 1.0]]
    wanted, found = alone.answers(by_one.coefficients), twice.answers(by_two.coefficients)
    # Each has a penalty of its own, so the smoothness of the sum may differ a little.
    assert float((found - wanted).abs().max()) < 0.1
    assert bool(torch.isfinite(by_two.coefficients).all())


def test_fewer_rows_than_coefficients_still_have_a_smooth_fit() -> None:
    """12 rows and 2 × 22 coefficients: what is between the rows stays near to them."""
    generator = np.random.default_rng(3)
    a, b = generator.uniform(-1, 1, size=(2, 12))
    y = 2 * a + 0.01 * generator.normal(size=12)
    _, rows, fitted = _fit([a, b], y, intervals=19)
    network = network_of(rows.terms, fitted.coefficients, torch.float64)
    between = torch.linspace(float(a.min()), float(a.max()), 50)[:, None].expand(50, 2).double().clone()
    between[:, 1] = 0.0
    np.testing.assert_allclose(network(between)[:, 0].detach().numpy(), 2 * between[:, 0].numpy(), atol=0.15)


def test_an_outlier_leaves_the_curve_of_the_other_rows() -> None:
    """One value a hundred times as far as the others: where they are, the curve is as near to the truth as before."""
    generator = np.random.default_rng(4)
    a = generator.uniform(-0.01, 0.01, size=400)
    a[0] = 1.0
    y = np.sin(300 * a)
    y[0] = 0.0
    y = y + 0.1 * generator.normal(size=400)
    x, _, _ = _fit([a], y)
    _, rows, fitted = _fit([a], y, intervals=20)
    found = rows.answers(fitted.coefficients)[1:, 0].numpy()
    assert np.sqrt(np.mean((found - np.sin(300 * x[1:, 0].double().numpy())) ** 2)) < 0.06


def test_several_targets_have_curves_of_their_own() -> None:
    """Each output has its own λs: a target of noise goes flat beside one with a curve."""
    generator = np.random.default_rng(5)
    a = generator.uniform(-1, 1, size=300)
    x = torch.from_numpy(a[:, None].astype(np.float32))
    layer = KANLayer(
        torch.zeros(2, 1), torch.zeros(2, 1, 11), degree=3, outside="clamp", domain=torch.tensor([[-1.0, 1.0]])
    )
    rows = TermRows.of(terms_of(layer, x.double(), [0]), x.double())
    y = np.stack([np.sin(4 * a), generator.normal(size=300)], axis=1)
    fitted = fit_squares(rows.sums(torch.from_numpy(y)), rows.terms.widths)
    network = network_of(rows.terms, fitted.coefficients, torch.float64)
    spread = network(x.double()).detach().std(dim=0)
    assert float(spread[0]) > 0.6
    assert float(spread[1]) < 0.3
    assert fitted.chosen[0].degrees > fitted.chosen[1].degrees + 2
