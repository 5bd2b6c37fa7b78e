"""Write a whole image network as one ONNX model on flat rows."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from kan_model.lowering.emit.blocks import emit_layer
from kan_model.lowering.emit.inputs import INPUT_NAME, emit_inputs
from kan_model.lowering.emit.network import output_name
from kan_model.lowering.emit.outputs import emit_outputs
from kan_model.lowering.emit.products import emit_products
from kan_model.lowering.images.convolution import emit_convolution
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.transform import InputTransform, OutputTransform
from kan_model.onnx_graph import GraphBuilder
from kan_model.vision.image_kan import ImageKAN


def image_model(
    image: ImageKAN,
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    strategies: Sequence[Strategy],
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """The model ``features`` [rows, channels · height · width] -> outputs, with one strategy per layer.

    Inside, images are [rows, height, width, channels]: a pixel's channels are one row of the edges' layer, without any
    transposition.
    """
    graph = GraphBuilder(INPUT_NAME, image.features)
    x = emit_inputs(graph, inputs, np.arange(image.features), image.features)
    channels, height, width = image.shape
    if channels == 1:
        x = graph.op("Reshape", [x, graph.integers([-1, height, width, 1], "image_shape")], "image")
    else:
        x = graph.op("Reshape", [x, graph.integers([-1, *image.shape], "image_shape")], "image")
        x = graph.op("Transpose", [x], "pixels_last", perm=[0, 2, 3, 1])
    for index, (layer, shape) in enumerate(zip(image.convolutions, image.shapes, strict=False)):
        graph.scope = f"layer{index}"
        x = emit_convolution(graph, layer, shape, x, strategies[index])
    x = graph.op("Reshape", [x, graph.integers([-1, image.head.width[0]], "flat_shape")], "flat")
    for index, head in enumerate(image.head.layers, start=len(image.convolutions)):
        graph.scope = f"layer{index}"
        bias = np.zeros(head.sums) if head.bias is None else head.bias.detach().double().numpy()
        plain = head if head.bias is None and head.products is None else head.changed(bias=None, products=None)
        sums = emit_layer(graph, plain, x, strategies[index], "float32", bias)
        x = emit_products(graph, sums, head.products)
    x = emit_outputs(graph, x, outputs, None)
    return graph.build({output_name(outputs): (x, [image.outputs])}, "image_kan", metadata or {})
