"""A convolution of learned functions."""

from typing import Any

import pytest
import torch
from torch.nn.functional import avg_pool2d, max_pool2d, unfold

from kan_model import KANLayer
from kan_model.vision.convolution import ConvolutionLayer, new_convolution
from kan_model.vision.geometry import Convolution, ImageShape

CASES = [
    (Convolution(3), (1, 5, 6)),
    (Convolution(3, kernel=2, stride=2, padding=0), (2, 6, 4)),
    (Convolution(4, kernel=3, stride=2, padding=2, groups=2), (4, 5, 5)),
    (Convolution(2, kernel=1, padding=0), (3, 2, 3)),
    (Convolution(2, pool="average"), (2, 4, 6)),
    (Convolution(2, pool="max", pool_size=3), (1, 6, 3)),
]


def _layer(geometry: Convolution, shape: ImageShape, knots: bool = False) -> ConvolutionLayer:
    layer = new_convolution(
        geometry,
        shape,
        torch.Generator().manual_seed(1),
        grid_size=4,
        degree=3,
        outside="clamp",
        domain=(-1.0, 1.5),
        next_domain=(-1.0, 1.0),
        initialization="paper",
        noise=1.0,
        dtype=torch.float64,
    )
    if knots:
        own = layer.edges.all_knots()
        layer = ConvolutionLayer(layer.edges.changed(knots=own + 0.05 * torch.sin(own)), geometry)
    return layer


def _by_patches(layer: ConvolutionLayer, x: torch.Tensor) -> torch.Tensor:
    """Each patch through a KANLayer with an edge for each of its pixels, in torch's own order of patches."""
    geometry, edges = layer.geometry, layer.edges
    shape = (geometry.taps, geometry.channels, edges.inputs)
    order = (1, 2, 0)
    patch = KANLayer(
        (edges.base_weight * edges.edge_mask).detach().view(shape).permute(*order).flatten(1),
        (edges.coefficients * edges.edge_mask[..., None]).detach().view(*shape, -1).permute(*order, 3).flatten(1, 2),
        degree=edges.degree,
        outside=edges.outside,
        knots=edges.all_knots().repeat_interleave(geometry.taps, dim=0),
    )
    rows = unfold(x, geometry.kernel, padding=geometry.padding, stride=geometry.stride)
    height, width = geometry.sizes(*x.shape[2:])
    sums = torch.stack([patch(rows[:, :, place]) for place in range(rows.shape[2])], dim=2)
    made = sums.view(len(x), geometry.channels, height, width)
    if geometry.pool == "none":
        return made
    return (avg_pool2d if geometry.pool == "average" else max_pool2d)(made, geometry.pool_size)


@pytest.mark.parametrize("knots", [False, True], ids=["uniform", "knots"])
@pytest.mark.parametrize(("geometry", "shape"), CASES)
def test_it_is_a_layer_on_patches(geometry: Convolution, shape: ImageShape, knots: bool) -> None:
    """In float64 it equals a KANLayer on torch's own patches, whatever kernel, stride, padding, groups and pooling."""
    layer = _layer(geometry, shape, knots)
    x = torch.randn(5, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    answers = layer(x)
    assert answers.shape[1:] == geometry.shape_after(shape)
    torch.testing.assert_close(answers, _by_patches(layer, x), rtol=0, atol=1e-12)


def test_linear_functions_make_torchs_convolution() -> None:
    """With straight splines it is torch's own convolution of the same weights."""
    geometry = Convolution(3, kernel=3, stride=2, groups=1)
    layer = _layer(geometry, (2, 6, 6))
    weight = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    # The coefficients of a straight line are its values at the means of neighbouring knots.
    knots = layer.edges.all_knots()
    means = knots.unfold(1, 3, 1)[:, 1:-1].mean(dim=2)
    taps = weight.permute(2, 3, 0, 1).reshape(-1, 2)
    edges = layer.edges.changed(base_weight=torch.zeros_like(taps), coefficients=taps[..., None] * means)
    x = torch.rand(4, 2, 6, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    wanted = torch.nn.functional.conv2d(x, weight, stride=2, padding=1)
    torch.testing.assert_close(ConvolutionLayer(edges, geometry)(x), wanted, rtol=0, atol=1e-12)


def test_gradients_are_those_of_finite_differences() -> None:
    """Derivatives by the images and by the functions agree with finite differences."""
    layer = _layer(Convolution(2, groups=2, pool="average"), (2, 4, 4))
    x = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    value = layer(x.detach()).square().sum()
    value.backward()
    gradient = layer.edges.coefficients.grad
    assert gradient is not None
    with torch.no_grad():
        coefficients, place = layer.edges.coefficients, (3, 1, 2)
        coefficients[place] += 1e-6
        change = layer(x).square().sum() - value
    assert float(gradient[place]) == pytest.approx(float(change) / 1e-6, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 3, "groups": 2}, "channels is 3 and groups 2"),
        ({"channels": 0}, "channels is 0"),
        ({"channels": 1, "padding": -1}, "padding is -1"),
        ({"channels": 1, "pool": "sum"}, "pool is 'sum'"),
    ],
)
def test_numbers_that_make_no_convolution(options: dict[str, Any], message: str) -> None:
    """They are refused by name."""
    with pytest.raises(ValueError, match=message):
        Convolution(**options)


def test_images_that_do_not_fit() -> None:
    """Groups, a kernel and a pooling that do not fit the image are refused."""
    with pytest.raises(ValueError, match="3 channels and groups = 2"):
        Convolution(2, groups=2).shape_after((3, 4, 4))
    with pytest.raises(ValueError, match="kernel is 5; wanted at most 4"):
        Convolution(2, kernel=5, padding=0).shape_after((1, 4, 9))
    with pytest.raises(ValueError, match="pool_size is 2 for 5 × 4 pixels"):
        Convolution(2, pool="average").shape_after((1, 5, 4))
