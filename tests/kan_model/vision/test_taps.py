"""The shifted sums of taps, and their gradients."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import conv2d

from kan_model.vision.geometry import Convolution
from kan_model.vision.taps import add_taps

GEOMETRIES = [Convolution(2), Convolution(2, kernel=2, stride=2), Convolution(3, kernel=3, stride=2)]


def _taps(geometry: Convolution) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (2, 6, 5, geometry.taps, geometry.channels)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_they_are_torchs_convolution_with_ones(geometry: Convolution) -> None:
    """Each tap is a channel of its own, which a kernel of zeros and a single 1 reads."""
    by_tap = _taps(geometry)
    kernel = torch.eye(geometry.taps, dtype=torch.float64).view(1, geometry.taps, geometry.kernel, geometry.kernel)
    wanted = [conv2d(by_tap[..., o].permute(0, 3, 1, 2), kernel, stride=geometry.stride)[:, 0] for o in range(2)]
    size = (wanted[0].shape[1], wanted[0].shape[2])
    found = add_taps(by_tap, geometry, size)
    torch.testing.assert_close(found[..., :2], torch.stack(wanted, dim=-1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_gradients_are_those_of_finite_differences(geometry: Convolution) -> None:
    """The first and the second ones: pixels that no tap reads have gradient 0."""
    rows, columns = ((size - geometry.kernel) // geometry.stride + 1 for size in (6, 5))
    by_tap = _taps(geometry).requires_grad_()

    def sums(values: torch.Tensor) -> torch.Tensor:
        return add_taps(values, geometry, (rows, columns)).sin()

    assert gradcheck(sums, by_tap)
    assert gradgradcheck(sums, by_tap)
