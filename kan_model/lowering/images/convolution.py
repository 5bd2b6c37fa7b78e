"""Write a convolution: pixels [rows, height, width, channels] to the same of its outputs."""

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.emit.blocks import emit_layer
from kan_model.lowering.emit.silu import base_weights, emit_silu
from kan_model.lowering.images.as_convolution import AsConvolution
from kan_model.lowering.strategies.strategy import Columns, Strategy
from kan_model.onnx_graph import GraphBuilder
from kan_model.vision.convolution import ConvolutionLayer
from kan_model.vision.geometry import Convolution, ImageShape

Values = NDArray[np.float64]


def emit_convolution(
    graph: GraphBuilder, layer: ConvolutionLayer, shape: ImageShape, x: str, strategy: Strategy
) -> str:
    """Write convolution and pooling, ``[rows, height', width', channels']``.

    Args:
        graph: The graph to write to.
        layer: The layer.
        shape: Channels, height and width of its images.
        x: ``[rows, height, width, channels]``.
        strategy: The strategy of the splines; with :class:`AsConvolution` a Conv sums them.
    """
    geometry, (channels, height, width) = layer.geometry, shape
    padding = geometry.padding
    if padding:
        pads = [0, padding, padding, 0] * 2
        x = graph.op("Pad", [x, graph.integers(pads, "padding")], "padded")
    pixels = graph.op("Reshape", [x, graph.integers([-1, channels], "by_pixel")], "pixels")
    padded = (height + 2 * padding, width + 2 * padding)
    if isinstance(strategy, AsConvolution):
        return _emit_as_conv(graph, layer, padded, pixels, strategy)
    nothing = np.zeros(layer.edges.sums)
    sums = emit_layer(graph, layer.edges, pixels, strategy, "float32", nothing)
    total = _emit_shifted(graph, geometry, (height, width), padded, sums)
    return _emit_pool(graph, geometry, shape, total)


def _emit_shifted(
    graph: GraphBuilder, geometry: Convolution, sizes: tuple[int, int], padded: tuple[int, int], sums: str
) -> str:
    """Write the sum of all taps, each shifted to the outputs that read it."""
    outputs, taps = geometry.channels, geometry.taps
    by_place = graph.op("Reshape", [sums, graph.integers([-1, *padded, taps * outputs], "places")], "sums_by_place")
    rows, columns = geometry.sizes(*sizes)
    if taps == 1 and geometry.stride == 1:
        return by_place
    axes = graph.integers([1, 2, 3], "slice_axes")
    steps = graph.integers([geometry.stride, geometry.stride, 1], "strides")
    parts = []
    for tap in range(taps):
        down, right = divmod(tap, geometry.kernel)
        starts = [down, right, tap * outputs]
        reach = [(rows - 1) * geometry.stride + 1, (columns - 1) * geometry.stride + 1, outputs]
        ends = [start + length for start, length in zip(starts, reach, strict=True)]
        limits = graph.integers(starts, "tap_start"), graph.integers(ends, "tap_end")
        parts.append(graph.op("Slice", [by_place, *limits, axes, steps], "tap"))
    return parts[0] if taps == 1 else graph.op("Sum", parts, "taps")


def _emit_pool(graph: GraphBuilder, geometry: Convolution, shape: ImageShape, x: str) -> str:
    if geometry.pool == "none":
        return x
    channels, height, width = geometry.shape_after(shape)
    size = geometry.pool_size
    by_square = graph.integers([-1, height, size, width, size, channels], "by_square")
    squares = graph.op("Reshape", [x, by_square], "squares")
    kind = "ReduceMean" if geometry.pool == "average" else "ReduceMax"
    return graph.op(kind, [squares], "pooled", axes=[2, 4], keepdims=0)


def _emit_as_conv(
    graph: GraphBuilder,
    layer: ConvolutionLayer,
    padded: tuple[int, int],
    pixels: str,
    strategy: AsConvolution,
) -> str:
    """Write the images of all functions, silu first, and a Conv. The mean of a pooling goes into its weights."""
    edges, geometry = layer.edges, layer.geometry
    splines = strategy.emit(graph, edges, pixels)
    assert isinstance(splines, Columns)
    values = [emit_silu(graph, pixels), *(term.value for term in splines.terms)]
    base = base_weights(edges).T
    weight = np.concatenate([base, *(term.weight.reshape(-1, edges.sums) for term in splines.terms)])
    flat = graph.op("Concat", values, "functions", axis=1)
    images = graph.op("Reshape", [flat, graph.integers([-1, *padded, len(weight)], "as_images")], "by_place")
    images = graph.op("Transpose", [images], "images", perm=[0, 3, 1, 2])
    # [functions, taps · outputs] to [outputs, functions, kernel, kernel].
    kernel = weight.reshape(len(weight), geometry.kernel, geometry.kernel, geometry.channels).transpose(3, 0, 1, 2)
    constant = splines.constant.sum(axis=0).reshape(geometry.taps, geometry.channels).sum(axis=0)
    stride = geometry.stride
    if geometry.pool == "average":
        kernel, stride = _averaged(kernel, geometry), stride * geometry.pool_size
    inputs = [images, graph.floats(kernel, "kernel"), graph.floats(constant, "constant")]
    found = graph.op("Conv", inputs, "convolution", kernel_shape=list(kernel.shape[2:]), strides=[stride, stride])
    if geometry.pool == "max":
        size = [geometry.pool_size] * 2
        found = graph.op("MaxPool", [found], "pooled", kernel_shape=size, strides=size)
    return graph.op("Transpose", [found], "pixels_last", perm=[0, 2, 3, 1])


def _averaged(kernel: Values, geometry: Convolution) -> Values:
    """The kernel of convolution and mean together: the mean of the kernel at all places of a square."""
    size, stride = geometry.pool_size, geometry.stride
    reach = geometry.kernel + (size - 1) * stride
    found = np.zeros((*kernel.shape[:2], reach, reach))
    for down in range(0, size * stride, stride):
        for right in range(0, size * stride, stride):
            found[:, :, down : down + geometry.kernel, right : right + geometry.kernel] += kernel / size**2
    return found
