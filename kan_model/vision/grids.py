"""The grids of an image network: finer ones, and domains that follow the images."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from kan_model.grids.adaptation import adapt_grid
from kan_model.grids.refinement import refine_grid
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.vision.convolution import ConvolutionLayer
from kan_model.vision.image_kan import ImageKAN, flat

# Pixels that grids follow; more change nothing and take time.
_MOST_PIXELS = 2**15


def refine_image_grids(image: ImageKAN, grid_size: int) -> ImageKAN:
    """The same function on finer grids, as :func:`kan_model.refine_grid` says.

    Raises:
        ValueError: as :func:`kan_model.refine_grid`.
    """
    return _changed(image, lambda kan: refine_grid(kan, grid_size))


def adapt_image_grids(image: ImageKAN, rows: Tensor, *, uniform_share: float = 1.0, margin: float = 0.01) -> ImageKAN:
    """Domains and knots that follow the pixels that each layer reads, for a network that will be trained again.

    The channels of a convolution have a grid each, which all taps and pixels share.

    Args:
        image: The network; it is not changed.
        rows: ``[rows, features]`` or images, imputed and scaled.
        uniform_share: As for :func:`kan_model.adapt_grid`.
        margin: As for :func:`kan_model.adapt_grid`.

    Raises:
        ValueError: as :func:`kan_model.adapt_grid`.
    """

    def adapt(kan: KAN, read: Tensor) -> KAN:
        step = -(-len(read) // _MOST_PIXELS)
        return adapt_grid(kan, read[::step], uniform_share=uniform_share, margin=margin, max_moved=math.inf).kan

    with torch.no_grad():
        x = image.as_images(rows)
        layers = []
        for layer in image.convolutions:
            layers.append(
                ConvolutionLayer(_one(adapt(KAN.of_layers([layer.edges]), layer.pixel_rows(x))), layer.geometry)
            )
            x = layer(x)
        return ImageKAN.of_parts(image.shape, layers, adapt(image.head, flat(x)))


def _changed(image: ImageKAN, change: Callable[[KAN], KAN]) -> ImageKAN:
    layers = [
        ConvolutionLayer(_one(change(KAN.of_layers([layer.edges]))), layer.geometry) for layer in image.convolutions
    ]
    return ImageKAN.of_parts(image.shape, layers, change(image.head))


def _one(kan: KAN) -> KANLayer:
    return kan.layers[0]
