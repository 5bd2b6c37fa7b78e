"""The number formats in which a layer's largest product may be written."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from kan_model.onnx_graph import GraphBuilder

Values = NDArray[np.float64]
Precision = Literal["float32", "float16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def emit_product(
    graph: GraphBuilder,
    value: str,
    weight: Values,
    addend: str | None,
    precision: Precision = "float32",
    low: float = 0.0,
    high: float = 1.0,
) -> str:
    """Write value · weight + addend, ``[rows, outputs]`` in float32.

    Args:
        graph: Where to write.
        value: ``[rows, n]``.
        weight: ``[n, outputs]``.
        addend: ``[outputs]`` or ``[rows, outputs]``, float32.
        precision: "float32"; "float16", both factors rounded to it; "int8", values in 255 steps, weights in 127 steps
            an output, summed in integers.
        low: The smallest that a value can be; the steps of int8 are fixed by it and
        high: the largest. Were they chosen for each batch, as ONNX's DynamicQuantizeLinear does, then a row's answer
            would depend on the rows it is batched with.
    """
    if precision == "float32":
        inputs = [value, graph.floats(weight, "weight")]
        return graph.op("Gemm", [*inputs, addend] if addend else inputs, "nodes")
    if precision == "float16":
        product = _emit_float16(graph, value, weight)
    else:
        product = _emit_int8(graph, value, weight, low, high)
    return graph.op("Add", [product, addend], "nodes") if addend else product


def _emit_float16(graph: GraphBuilder, value: str, weight: Values) -> str:
    half = graph.op("Cast", [value], "value_float16", to=TensorProto.FLOAT16)
    # What float16 cannot hold becomes infinite, and the error that is measured with it.
    with np.errstate(over="ignore"):
        rounded = weight.astype(np.float16)
    product = graph.op("MatMul", [half, graph.constant(rounded, "weight_float16")], "product_float16")
    return graph.op("Cast", [product], "product", to=TensorProto.FLOAT)


def _emit_int8(graph: GraphBuilder, value: str, weight: Values, low: float, high: float) -> str:
    # 63, not 127: processors without VNNI add two products in 16 bits, and 2 · 255 · 127 does not fit there.
    step = np.maximum(np.abs(weight).max(axis=0), np.finfo(np.float32).tiny) / 63
    quantized = graph.constant(np.rint(weight / step).astype(np.int8), "weight_int8")
    value_step = (high - low) / 255
    zero = graph.constant(np.array(np.rint(-low / value_step), np.uint8), "value_zero")
    whole_value = graph.op("QuantizeLinear", [value, graph.floats(value_step, "value_step"), zero], "value_uint8")
    whole = graph.op("MatMulInteger", [whole_value, quantized, zero], "product_integer")
    product = graph.op("Cast", [whole], "product_float", to=TensorProto.FLOAT)
    return graph.op("Mul", [product, graph.floats(step * value_step, "product_step")], "product")
