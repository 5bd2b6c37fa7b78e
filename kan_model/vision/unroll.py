"""An image network as an equal flat network, whose edges between far pixels are pruned."""

from dataclasses import replace

import torch
from torch import Tensor

from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.vision.convolution import ConvolutionLayer
from kan_model.vision.geometry import ImageShape
from kan_model.vision.image_kan import ImageKAN


def unroll(image: ImageKAN) -> KAN:
    """A flat KAN that gives the same answers to flat rows.

    The mean of a pooling is a sum of edges too: an edge of the flat network is the mean of the taps that join its
    pixel with the square. What the outputs see of the padding is a bias.

    Args:
        image: The network; it is not changed.

    Raises:
        ValueError: a max pooling, which is no sum of functions.
    """
    if any(layer.geometry.pool == "max" for layer in image.convolutions):
        raise ValueError('pool is "max"; wanted "none" or "average", because a largest value is no sum of functions')
    layers = [
        _unrolled(layer, shape, is_first=index == 0)
        for index, (layer, shape) in enumerate(zip(image.convolutions, image.shapes, strict=False))
    ]
    return KAN.of_layers([*layers, *(layer.changed() for layer in image.head.layers)])


def unrolled_size(image: ImageKAN) -> int:
    """The number of coefficients of all flat layers, those of pruned edges included."""
    sizes = [channels * height * width for channels, height, width in image.shapes]
    convolutions = sum(
        read * made * layer.edges.coefficients.shape[2]
        for layer, read, made in zip(image.convolutions, sizes, sizes[1:], strict=False)
    )
    return convolutions + sum(layer.coefficients.numel() for layer in image.head.layers)


def _unrolled(layer: ConvolutionLayer, shape: ImageShape, *, is_first: bool) -> KANLayer:
    """One convolution as a flat layer. Images are channel by channel; hidden nodes are pixel by pixel."""
    edges, geometry = layer.edges, layer.geometry
    channels, height, width = shape
    _, rows, columns = geometry.shape_after(shape)
    pixels = height * width
    # By output pixel and channel, and by input pixel and channel.
    sizes = (rows * columns, geometry.channels, pixels, channels)
    mask = edges.edge_mask.detach()
    base = (edges.base_weight.detach() * mask).view(geometry.taps, geometry.channels, channels)
    splines = (edges.coefficients.detach() * mask[..., None]).view(geometry.taps, geometry.channels, channels, -1)
    weights, is_edge = base.new_zeros(sizes), base.new_zeros(sizes)
    coefficients = base.new_zeros(*sizes, splines.shape[-1])
    bias = base.new_zeros(rows * columns, geometry.channels)
    at_zero = _values_at_zero(edges).view(geometry.taps, geometry.channels)
    squares = 1 if geometry.pool == "none" else geometry.pool_size
    share = 1 / squares**2
    for tap in range(geometry.taps):
        for square in range(squares**2):
            out, read = _places(layer, shape, tap, square)
            inside = read >= 0
            bias[out[~inside]] += share * at_zero[tap]
            out, read = out[inside], read[inside]
            # Each output pixel occurs once here, so nothing is lost by the plain addition.
            weights[out, :, read] += share * base[tap]
            coefficients[out, :, read] += share * splines[tap]
            is_edge[out, :, read] += mask.view(geometry.taps, geometry.channels, channels)[tap]
    order = _order(channels, pixels, is_first=is_first)
    outputs = rows * columns * geometry.channels
    grid = edges.domain if edges.knots is None else edges.knots
    by_input = grid.repeat(pixels, 1)[order]
    return KANLayer(
        weights.reshape(outputs, -1)[:, order],
        coefficients.reshape(outputs, len(order), -1)[:, order],
        degree=edges.degree,
        outside=edges.outside,
        domain=by_input if edges.knots is None else None,
        knots=None if edges.knots is None else by_input,
        edge_mask=(is_edge != 0).to(base).reshape(outputs, -1)[:, order],
        bias=bias.reshape(-1) if geometry.padding else None,
    )


def _places(layer: ConvolutionLayer, shape: ImageShape, tap: int, square: int) -> tuple[Tensor, Tensor]:
    """Output pixels, and the input pixels that they read by a tap at a place of their square; −1: the padding."""
    geometry, (_, height, width) = layer.geometry, shape
    plain = replace(geometry, pool="none")
    size = 1 if geometry.pool == "none" else geometry.pool_size
    _, rows, columns = geometry.shape_after(shape)
    down, right = divmod(tap, plain.kernel)
    inner_down, inner_right = divmod(square, size)
    y = (torch.arange(rows) * size + inner_down) * plain.stride + down - plain.padding
    x = (torch.arange(columns) * size + inner_right) * plain.stride + right - plain.padding
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
    read = torch.where(inside, y[:, None] * width + x, -1)
    return torch.arange(rows * columns), read.flatten()


def _values_at_zero(edges: KANLayer) -> Tensor:
    """``[sums]``: each sum at a pixel of the padding."""
    with torch.no_grad():
        return edges.edge_outputs(edges.domain.new_zeros(1, edges.inputs))[0].sum(dim=1)


def _order(channels: int, pixels: int, *, is_first: bool) -> Tensor:
    """Places in pixel order of the layer's inputs: those of an image are channel by channel."""
    by_pixel = torch.arange(channels * pixels)
    return by_pixel.view(pixels, channels).T.flatten() if is_first else by_pixel
