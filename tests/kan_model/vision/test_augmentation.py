"""Images that are moved, turned and zoomed at random."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model.vision.augmentation import Augmentation

Numbers = NDArray[np.float64]
SHAPE = (2, 6, 9)


def _images(rows: int = 5) -> torch.Tensor:
    return torch.rand(rows, 2 * 6 * 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_nothing_to_change_changes_nothing() -> None:
    """With all numbers 0 the images stay, to rounding."""
    rows = _images()
    found = Augmentation(SHAPE)(rows, np.random.default_rng(0))
    torch.testing.assert_close(found, rows, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["shift", "rotation", "zoom"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_what_is_no_change_is_refused(name: str, value: float) -> None:
    """A number below 0 and one that is not finite, by its name."""
    with pytest.raises(ValueError, match=f"{name} is"):
        Augmentation(SHAPE, **{name: value})


def _keys(distance: Numbers) -> Numbers:
    """The kernel of Keys (1981), eq. 4, with a = -0.75 as torch has it."""
    a, s = -0.75, np.abs(distance)
    near = (a + 2) * s**3 - (a + 3) * s**2 + 1
    far = a * s**3 - 5 * a * s**2 + 8 * a * s - 4 * a
    return np.where(s <= 1, near, np.where(s < 2, far, 0.0))


def _interpolated(image: Numbers, down: Numbers, right: Numbers) -> Numbers:
    """The image at these places: each pixel counts by its distance on both axes; beyond the image are zeros."""
    height, width = image.shape
    rows, columns = _keys(down[..., None] - np.arange(height)), _keys(right[..., None] - np.arange(width))
    found: Numbers = np.einsum("hwi,hwj,ij->hw", rows, columns, image)
    return found


@pytest.mark.parametrize("numbers", [(1.5, 0.0, 0.0), (0.0, 40.0, 0.0), (0.0, 0.0, 0.3), (1.0, 25.0, 0.2)])
def test_an_image_is_read_at_places_that_moved(numbers: tuple[float, float, float]) -> None:
    """A pixel shows what was at its place, turned and zoomed around the centre, then moved; each row by its numbers."""
    shift, rotation, zoom = numbers
    rows = _images()
    found = Augmentation(SHAPE, shift, rotation, zoom)(rows, np.random.default_rng(3)).view(-1, *SHAPE).numpy()
    right, down, turn, size = np.random.default_rng(3).uniform(-1, 1, (4, len(rows)))
    place = np.stack(np.meshgrid(np.arange(6) - 2.5, np.arange(9) - 4.0, indexing="ij"))
    for row, images in enumerate(rows.view(-1, *SHAPE).numpy()):
        angle, scale = np.radians(turn[row] * rotation), (1 + zoom) ** -size[row]
        matrix = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        read = np.einsum("ij,jhw->ihw", matrix, place) + np.array([2.5, 4.0])[:, None, None]
        for channel, image in enumerate(images):
            wanted = _interpolated(image, read[0] + down[row] * shift, read[1] + right[row] * shift)
            limits = 0.0, float(rows.max())
            np.testing.assert_allclose(found[row, channel], wanted.clip(*limits), rtol=0, atol=1e-9)


def test_the_same_generator_gives_the_same_images() -> None:
    """And another one gives others."""
    make = Augmentation(SHAPE, 1.0, 10.0, 0.1)
    first, again, other = (make(_images(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
