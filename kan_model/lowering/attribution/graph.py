"""A graph that computes partly in float64, between float32 inputs and outputs."""

from collections.abc import Callable, Sequence
from math import pi

import numpy as np
from onnx import TensorProto

from kan_model.onnx_graph import GraphBuilder

INPUT_NAMES = ("features", "reference")
OUTPUT_NAMES = ("contributions", "explained", "baseline")


class AttributionGraph(GraphBuilder):
    """Writes float32, or float64 while ``is_wide``: constants, and operators that onnxruntime has for float32 only."""

    def __init__(self, features: int) -> None:
        super().__init__(INPUT_NAMES[0], features)
        self.add_input(INPUT_NAMES[1], "references", features)
        self.is_wide = False

    def floats(self, values: object, name: str) -> str:
        """A constant, float64 while the graph is wide."""
        return (
            self.constant(np.asarray(values, dtype=np.float64), name) if self.is_wide else super().floats(values, name)
        )

    def op(self, kind: str, inputs: Sequence[str], name: str, **attributes: float | Sequence[int] | TensorProto) -> str:
        """As :meth:`GraphBuilder.op`; for example Tan becomes Sin / Cos while the graph is wide."""
        if self.is_wide and kind in _WRITTEN:
            return _WRITTEN[kind](self, inputs[0])
        return super().op(kind, inputs, name, **attributes)

    def to_float64(self, value: str, name: str) -> str:
        """The value as float64."""
        return self.op("Cast", [value], name, to=int(TensorProto.DOUBLE))

    def to_float32(self, value: str, name: str) -> str:
        """The value as float32."""
        return self.op("Cast", [value], name, to=int(TensorProto.FLOAT))

    def reshape(self, value: str, shape: Sequence[int], name: str) -> str:
        """The value in another shape; 0 keeps a dimension, -1 is what is left."""
        return self.op("Reshape", [value, self.integers(shape, f"{name}_shape")], name)

    def sum(self, value: str, axis: int, name: str, *, keepdims: bool = False) -> str:
        """The sum along an axis."""
        return self.op("ReduceSum", [value, self.integers([axis], f"axis_{axis}")], name, keepdims=int(keepdims))


def _tan(graph: AttributionGraph, x: str) -> str:
    return graph.op("Div", [graph.op("Sin", [x], "sine"), graph.op("Cos", [x], "cosine")], "tan")


def _half_sum(kind: str) -> Callable[[AttributionGraph, str], str]:
    """(exp(x) ± exp(−x)) / 2: cosh by Add, sinh by Sub."""

    def write(graph: AttributionGraph, x: str) -> str:
        up, down = graph.op("Exp", [x], "exp_up"), graph.op("Exp", [graph.op("Neg", [x], "minus")], "exp_down")
        return graph.op("Mul", [graph.op(kind, [up, down], "both_exp"), graph.floats(0.5, "half")], "hyperbolic")

    return write


def _atan(graph: AttributionGraph, x: str) -> str:
    """The angle of float32 and what is left of it: atan x = y + atan((x·cos y − sin y) / (cos y + x·sin y)).

    What is left is below 1e-6, so its atan is itself.
    """
    # An operator of the base class, because this one would be written by this function.
    angle = GraphBuilder.op(graph, "Atan", [graph.to_float32(x, "x32")], "angle32")
    rough = graph.to_float64(angle, "rough_angle")
    sine, cosine = graph.op("Sin", [rough], "sine"), graph.op("Cos", [rough], "cosine")
    above = graph.op("Sub", [graph.op("Mul", [x, cosine], "x_cosine"), sine], "above")
    below = graph.op("Add", [cosine, graph.op("Mul", [x, sine], "x_sine")], "below")
    return graph.op("Add", [rough, graph.op("Div", [above, below], "left_angle")], "angle")


def _asin(graph: AttributionGraph, x: str) -> str:
    """2·atan(x / (1 + √((1 − x)(1 + x)))), which is exact next to ±1 too."""
    one = graph.floats(1.0, "one")
    square = graph.op("Mul", [graph.op("Sub", [one, x], "to_one"), graph.op("Add", [one, x], "one_plus")], "square")
    below = graph.op("Add", [one, graph.op("Sqrt", [square], "root")], "half_angle_below")
    half = _atan(graph, graph.op("Div", [x, below], "half_tangent"))
    return graph.op("Add", [half, half], "arcsin")


def _acos(graph: AttributionGraph, x: str) -> str:
    return graph.op("Sub", [graph.floats(pi / 2, "right_angle"), _asin(graph, x)], "arccos")


def _atanh(graph: AttributionGraph, x: str) -> str:
    one = graph.floats(1.0, "one")
    share = graph.op("Div", [graph.op("Add", [one, x], "one_plus"), graph.op("Sub", [one, x], "to_one")], "ratio")
    return graph.op("Mul", [graph.op("Log", [share], "log_ratio"), graph.floats(0.5, "half")], "arctanh")


# onnxruntime's CPU kernels of these take float32 only (1.32).
_WRITTEN: dict[str, Callable[[AttributionGraph, str], str]] = {
    "Tan": _tan,
    "Sinh": _half_sum("Sub"),
    "Cosh": _half_sum("Add"),
    "Atan": _atan,
    "Asin": _asin,
    "Acos": _acos,
    "Atanh": _atanh,
}
