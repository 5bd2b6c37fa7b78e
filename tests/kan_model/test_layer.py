"""One layer against its formula."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from kan_model import KAN, KANLayer


@pytest.mark.parametrize("uneven", [False, True])
def test_layer_is_the_papers_formula(make_kan: Callable[..., KAN], uneven: bool) -> None:
    """Every node is Σ base_weight·silu(x) + spline(clip(x)), the spline by SciPy."""
    layer = make_kan((3, 2), uneven=uneven).layers[0]
    x = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    expected = np.zeros((200, 2))
    for i, knots in enumerate(layer.all_knots().numpy()):
        inside = np.clip(x[:, i].numpy(), knots[3], knots[-4])
        silu = x[:, i].numpy() / (1 + np.exp(-x[:, i].numpy()))
        for o in range(2):
            spline = BSpline(knots, layer.coefficients[o, i].detach().numpy(), 3)
            expected[:, o] += layer.base_weight[o, i].item() * silu + spline(inside)
    np.testing.assert_allclose(layer(x).detach(), expected, atol=1e-12)


@pytest.mark.parametrize("uneven", [False, True])
def test_decay_falls_to_the_base_branch_and_clamp_holds_the_end(make_kan: Callable[..., KAN], uneven: bool) -> None:
    """Far outside, a spline under decay is zero; under clamp it is its value at the domain's end."""
    far = torch.full((1, 3), 50.0, dtype=torch.float64)
    base_only = {}
    for outside in ("decay", "clamp"):
        layer = make_kan((3, 2), outside=outside, uneven=uneven).layers[0]
        base_only[outside] = layer(far) - torch.nn.functional.silu(far) @ layer.base_weight.T
        at_end = layer(layer.domain[:, 1:].T) - torch.nn.functional.silu(layer.domain[:, 1:].T) @ layer.base_weight.T
    torch.testing.assert_close(base_only["decay"], torch.zeros_like(base_only["decay"]), atol=1e-12, rtol=0)
    torch.testing.assert_close(base_only["clamp"], at_end, atol=1e-12, rtol=0)


def test_edge_outputs_sum_to_the_nodes(make_kan: Callable[..., KAN]) -> None:
    """Nodes only add."""
    layer = make_kan().layers[0]
    x = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer.edge_outputs(x).sum(dim=2), layer(x))


def test_a_masked_input_has_no_influence(make_kan: Callable[..., KAN]) -> None:
    """Edges that are not there add nothing, whatever comes in, and get no gradient."""
    layer = make_kan((3, 2)).layers[0]
    layer.edge_mask[:, 1] = 0
    x = torch.zeros(2, 3, dtype=torch.float64)
    x[1, 1] = 123.0
    y = layer(x)
    assert torch.equal(y[0], y[1])
    y.sum().backward()
    assert layer.coefficients.grad is not None
    assert layer.coefficients.grad[:, 1].abs().max() == 0


def test_gradients_agree_with_finite_differences(make_kan: Callable[..., KAN]) -> None:
    """Autograd through the closed form is the derivative."""
    layer = make_kan((2, 2)).layers[0]
    x = torch.tensor([[0.13, -0.71], [0.4, 0.9]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outside": "wrap"}, "outside is 'wrap'"),
        ({"base_weight": torch.zeros(2, 4)}, "base_weight has shape"),
        ({"coefficients": torch.zeros(2, 3, 2)}, "coefficients have shape"),
        ({"domain": torch.tensor([[0.0, 1], [1.0, 1], [0.0, 1]])}, "feature 1"),
        ({"domain": None}, "either domain"),
        ({"edge_mask": torch.ones(5, 5)}, "edge_mask has shape"),
        ({"degree": 6, "coefficients": torch.zeros(2, 3, 11)}, "degree is 6"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    """The error says what came and what was wanted."""
    parts: dict[str, object] = {
        "base_weight": torch.zeros(2, 3),
        "coefficients": torch.zeros(2, 3, 8),
        "degree": 3,
        "outside": "clamp",
        "domain": torch.tensor([[0.0, 1]] * 3),
    }
    with pytest.raises(ValueError, match=message):
        KANLayer(**(parts | changes))  # type: ignore[arg-type]
