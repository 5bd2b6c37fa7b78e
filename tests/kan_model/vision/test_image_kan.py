"""A network on images, and the flat network that equals it."""

from dataclasses import replace

import pytest
import torch

from kan_model import parameter_count
from kan_model.network.network import Level
from kan_model.vision.geometry import Convolution, unrolled_coefficients
from kan_model.vision.grids import adapt_image_grids, refine_image_grids
from kan_model.vision.image_kan import ImageConfig, ImageKAN, image_parameter_count
from kan_model.vision.unroll import unroll, unrolled_size
from tests.kan_model.vision.configs import CONFIGS


def _rows(image: ImageKAN, count: int = 40) -> torch.Tensor:
    draws = torch.Generator().manual_seed(7)
    return torch.randn(count, image.features, generator=draws, dtype=torch.float64)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_flat_network_gives_the_same_answers(name: str) -> None:
    """To 1e-12 in float64, for flat rows and for images; its edges between far pixels are pruned."""
    image = ImageKAN(CONFIGS[name], seed=3, dtype=torch.float64)
    flat, rows = unroll(image), _rows(image)
    torch.testing.assert_close(image(rows), flat(rows), rtol=0, atol=1e-12)
    torch.testing.assert_close(image(rows.view(-1, *image.shape)), flat(rows), rtol=0, atol=1e-12)
    assert sum(layer.coefficients.numel() for layer in flat.layers) == unrolled_size(image)
    assert not flat.layers[0].edge_mask.all()


@pytest.mark.parametrize("levels", [(3,), ((2, 3), 5), ((0, 1), (4, 2))])
@pytest.mark.parametrize("name", CONFIGS)
def test_its_size_is_known_before_it_is_built(name: str, levels: tuple[Level, ...]) -> None:
    """The numbers of a config give the coefficients of all flat layers, factors of products included."""
    config = replace(CONFIGS[name], levels=levels, arity=3)
    flat = unroll(ImageKAN(config))
    basis = config.grid_size + config.degree
    size = unrolled_coefficients(config.shape, config.convolutions, levels, config.arity, basis)
    assert size == sum(layer.coefficients.numel() for layer in flat.layers)


def test_the_flat_network_of_grids_that_follow_the_images() -> None:
    """Knots that differ from channel to channel stay those of the channel's pixels."""
    image = ImageKAN(CONFIGS["stride and groups"], seed=3, dtype=torch.float64)
    rows = _rows(image) * 2
    moved = adapt_image_grids(image, rows, uniform_share=0.3)
    assert moved.convolutions[0].edges.knots is not None
    torch.testing.assert_close(moved(rows), unroll(moved)(rows), rtol=0, atol=1e-12)


def test_finer_grids_compute_the_same() -> None:
    """Twice as many intervals change no answer."""
    image = ImageKAN(CONFIGS["pooling"], seed=3, dtype=torch.float64)
    rows = _rows(image)
    fine = refine_image_grids(image, 6)
    assert fine.convolutions[0].edges.grid_size == 6
    torch.testing.assert_close(fine(rows), image(rows), rtol=0, atol=1e-12)


def test_domains_that_follow_the_images_hold_all_pixels() -> None:
    """No layer reads a pixel outside its domain, on the images that the grids follow."""
    image = ImageKAN(CONFIGS["pooling"], seed=3, dtype=torch.float64)
    rows = _rows(image) * 3
    moved = adapt_image_grids(image, rows)
    first = moved.layer_inputs(rows)[0]
    domain = moved.convolutions[0].edges.domain
    assert bool(((first >= domain[:, 0]) & (first <= domain[:, 1])).all())


def test_pruned_edges_are_no_parameters() -> None:
    """Edges between groups do not count: taps · channels · (channels of a group) · (coefficients + base)."""
    image = ImageKAN(CONFIGS["stride and groups"], seed=0)
    assert image_parameter_count(image) - parameter_count(image.head) == (9 * 4 * 1 + 4 * 2 * 4) * 9


def test_a_largest_value_is_no_sum() -> None:
    """A max pooling cannot be unrolled, and the message says so."""
    image = ImageKAN(ImageConfig((1, 4, 4), (Convolution(2, pool="max"),), (2,)))
    with pytest.raises(ValueError, match='pool is "max"'):
        unroll(image)


def test_parts_that_do_not_fit() -> None:
    """A config and parts of other sizes are refused; the message names the convolution."""
    with pytest.raises(ValueError, match="convolution 1: kernel is 9"):
        ImageConfig((1, 4, 4), (Convolution(2), Convolution(2, kernel=9)), (2,))
    with pytest.raises(ValueError, match="no convolutions"):
        ImageConfig((1, 4, 4), (), (2,))
    one, other = (ImageKAN(CONFIGS[name]) for name in ("pooling", "one convolution"))
    with pytest.raises(ValueError, match="reads 2 channels of 1"):
        ImageKAN.of_parts((1, 6, 6), one.convolutions, one.head)
    with pytest.raises(ValueError, match="the head reads"):
        ImageKAN.of_parts(other.shape, other.convolutions, one.head)
    with pytest.raises(ValueError, match="wanted \\[rows, 20\\]"):
        other(torch.zeros(3, 7))
