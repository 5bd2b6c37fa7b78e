"""Write a layer's largest product in float32, float16 or int8."""

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
        graph: The graph to write to.
        value: ``[rows, n]``.
        weight: ``[n, outputs]``.
        addend: ``[outputs]`` or ``[rows, outputs]``, float32.
        precision: "float32"; "float16": both factors are rounded to it; "int8": values have 255 steps and weights 126
            steps per output (−63 to 63), and integers are summed.
        low: The smallest possible value, for int8.
        high: The largest possible value, for int8.

    The steps of int8 depend on ``low`` and ``high``, not on the batch. With ONNX's DynamicQuantizeLinear they would
    depend on the batch, and the answer to a row would change with the other rows of its batch.
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
    # A weight too large for float16 becomes infinite; then the measured error is infinite too, and refuses it.
    with np.errstate(over="ignore"):
        rounded = weight.astype(np.float16)
    product = graph.op("MatMul", [half, graph.constant(rounded, "weight_float16")], "product_float16")
    return graph.op("Cast", [product], "product", to=TensorProto.FLOAT)


def _emit_int8(graph: GraphBuilder, value: str, weight: Values, low: float, high: float) -> str:
    # At most 63, not 127: CPUs without VNNI add two products in 16 bits, and 2 · 255 · 127 overflows these.
    step = np.maximum(np.abs(weight).max(axis=0), np.finfo(np.float32).tiny) / 63
    quantized = graph.constant(np.rint(weight / step).astype(np.int8), "weight_int8")
    value_step = (high - low) / 255
    zero = graph.constant(np.array(np.rint(-low / value_step), np.uint8), "value_zero")
    whole_value = graph.op("QuantizeLinear", [value, graph.floats(value_step, "value_step"), zero], "value_uint8")
    whole = graph.op("MatMulInteger", [whole_value, quantized, zero], "product_integer")
    product = graph.op("Cast", [whole], "product_float", to=TensorProto.FLOAT)
    return graph.op("Mul", [product, graph.floats(step * value_step, "product_step")], "product")
