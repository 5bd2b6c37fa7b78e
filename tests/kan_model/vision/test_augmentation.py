"""Images that are moved, turned and zoomed at random."""

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from kan_model.vision.augmentation import Augmentation

SHAPE = (2, 6, 9)


def _images(rows: int = 5) -> torch.Tensor:
    return torch.rand(rows, 2 * 6 * 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_nothing_to_change_changes_nothing() -> None:
    """With all numbers 0 the images stay, to rounding."""
    rows = _images()
    found = Augmentation(SHAPE)(rows, np.random.default_rng(0))
    torch.testing.assert_close(found, rows, rtol=0, atol=1e-12)


@pytest.mark.parametrize("numbers", [(1.5, 0.0, 0.0), (0.0, 40.0, 0.0), (0.0, 0.0, 0.3), (1.0, 25.0, 0.2)])
def test_an_image_is_what_scipy_makes_of_it(numbers: tuple[float, float, float]) -> None:
    """Linear interpolation at the same places, for each channel; 0 beyond the image. Every row has its own numbers."""
    shift, rotation, zoom = numbers
    rows = _images()
    found = Augmentation(SHAPE, shift, rotation, zoom)(rows, np.random.default_rng(3)).view(-1, *SHAPE).numpy()
    right, down, turn, size = np.random.default_rng(3).uniform(-1, 1, (4, len(rows)))
    center = np.array([2.5, 4.0])
    for row, images in enumerate(rows.view(-1, *SHAPE).numpy()):
        angle, scale = np.radians(turn[row] * rotation), (1 + zoom) ** -size[row]
        matrix = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        moved = np.array([down[row] * shift, right[row] * shift])
        offset = center + moved - matrix @ center
        for channel, image in enumerate(images):
            # SciPy's "grid-constant" interpolates between the edge and the 0 beyond it, as torch does.
            wanted = affine_transform(image, matrix, offset, order=1, mode="grid-constant", cval=0.0)
            np.testing.assert_allclose(found[row, channel], wanted, rtol=0, atol=1e-9)


def test_the_same_generator_gives_the_same_images() -> None:
    """And another one gives others."""
    make = Augmentation(SHAPE, 1.0, 10.0, 0.1)
    first, again, other = (make(_images(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
