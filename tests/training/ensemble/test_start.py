"""The start: hidden values fill the domains of the splines that read them."""

import torch

from kan_model import KAN, KANConfig
from training.ensemble.start import standardize


def test_hidden_values_have_mean_zero_and_deviation_one() -> None:
    """In every hidden layer, for inputs that are nearly constant too."""
    x = torch.rand(500, 4, dtype=torch.float64) * 0.01 + 0.3
    kan = KAN(KANConfig((4, 6, 5, 2)), seed=0, dtype=torch.float64)
    ready = standardize(kan, x)
    values = x
    for layer in ready.layers[:-1]:
        values = layer(values)
        torch.testing.assert_close(
            values.mean(dim=0), torch.zeros(layer.outputs, dtype=torch.float64), atol=1e-9, rtol=0
        )
        torch.testing.assert_close(values.std(dim=0, correction=0), torch.ones(layer.outputs, dtype=torch.float64))
    assert [layer.domain[0].tolist() for layer in ready.layers[1:]] == [[-3.0, 3.0]] * 2


def test_a_node_without_edges_stays_finite() -> None:
    """All its inputs are constant and masked."""
    kan = KAN(KANConfig((2, 3, 1)), seed=0)
    kan.layers[0].edge_mask[:] = 0
    assert torch.isfinite(standardize(kan, torch.rand(10, 2))(torch.rand(10, 2))).all()
