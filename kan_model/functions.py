"""The symbolic library: the functions that an edge may be, one row each.

None is protected: beyond its domain a function answers what IEEE 754 says (NaN or an infinity), the same in torch and
in ONNX.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import silu

if TYPE_CHECKING:
    # At run time this would be a circle: lowering reads layers, layers read this table.
    from kan_model.lowering.graph import GraphBuilder


@dataclass(frozen=True)
class Function:
    """One function of one variable.

    Attributes:
        name: As it stands in checkpoints.
        torch: Elementwise, any floating type.
        onnx: Writes it as standard operators (opset 17) for a float32 value of any shape; gives the name of the result.
        complexity: How much a formula that holds it costs a reader; of two fits as good the lower is taken.
    """

    name: str
    torch: Callable[[Tensor], Tensor]
    onnx: "Callable[[GraphBuilder, str], str]"
    complexity: int


def _operator(kind: str) -> "Callable[[GraphBuilder, str], str]":
    """A function that is one ONNX operator."""
    return lambda graph, x: graph.op(kind, [x], kind.lower())


def _square(graph: "GraphBuilder", x: str) -> str:
    return graph.op("Mul", [x, x], "square")


def _cube(graph: "GraphBuilder", x: str) -> str:
    return graph.op("Mul", [_square(graph, x), x], "cube")


def _fourth(graph: "GraphBuilder", x: str) -> str:
    square = _square(graph, x)
    return graph.op("Mul", [square, square], "fourth")


def _fifth(graph: "GraphBuilder", x: str) -> str:
    return graph.op("Mul", [_fourth(graph, x), x], "fifth")


def _over(graph: "GraphBuilder", denominator: str) -> str:
    return graph.op("Reciprocal", [denominator], "reciprocal")


def _gaussian(graph: "GraphBuilder", x: str) -> str:
    return graph.op("Exp", [graph.op("Neg", [_square(graph, x)], "minus_square")], "gaussian")


def _one_plus_exp_minus(graph: "GraphBuilder", x: str) -> str:
    # Not the Sigmoid operator: onnxruntime's is off by 1e-7 where the function itself is smaller than that.
    decay = graph.op("Exp", [graph.op("Neg", [x], "minus")], "decay")
    return graph.op("Add", [decay, graph.floats(1.0, "one")], "one_plus_decay")


def _sgn(graph: "GraphBuilder", x: str) -> str:
    # ONNX does not say what the sign of NaN is.
    return graph.op("Where", [graph.op("IsNaN", [x], "is_nan"), x, graph.op("Sign", [x], "sign")], "sgn")


def _of_square(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: function(x * x)


# Complexities are pykan's (kan/utils.py, SYMBOLIC_LIB); silu, which it lacks, costs what its sigmoid does.
_ROWS = (
    Function("x", lambda x: x, lambda _, x: x, 1),
    Function("x^2", lambda x: x * x, _square, 2),
    Function("x^3", lambda x: x * x * x, _cube, 3),
    Function("x^4", _of_square(torch.square), _fourth, 3),
    Function("x^5", lambda x: torch.square(x * x) * x, _fifth, 3),
    Function("1/x", torch.reciprocal, _over, 2),
    Function("1/x^2", _of_square(torch.reciprocal), lambda graph, x: _over(graph, _square(graph, x)), 2),
    Function("sqrt", torch.sqrt, _operator("Sqrt"), 2),
    Function(
        "1/sqrt(x)",
        lambda x: torch.reciprocal(torch.sqrt(x)),
        lambda graph, x: _over(graph, graph.op("Sqrt", [x], "sqrt")),
        2,
    ),
    Function("exp", torch.exp, _operator("Exp"), 2),
    Function("log", torch.log, _operator("Log"), 2),
    Function("abs", torch.abs, _operator("Abs"), 3),
    Function("sin", torch.sin, _operator("Sin"), 2),
    Function("cos", torch.cos, _operator("Cos"), 2),
    Function("tan", torch.tan, _operator("Tan"), 3),
    Function("tanh", torch.tanh, _operator("Tanh"), 3),
    Function("arcsin", torch.asin, _operator("Asin"), 4),
    Function("arccos", torch.acos, _operator("Acos"), 4),
    Function("arctan", torch.atan, _operator("Atan"), 4),
    Function("arctanh", torch.atanh, _operator("Atanh"), 4),
    # torch says that the sign of NaN is 0.
    Function("sgn", lambda x: torch.where(torch.isnan(x), x, torch.sign(x)), _sgn, 3),
    Function("gaussian", lambda x: torch.exp(-x * x), _gaussian, 3),
    Function("sigmoid", torch.sigmoid, lambda graph, x: _over(graph, _one_plus_exp_minus(graph, x)), 4),
    Function("silu", silu, lambda graph, x: graph.op("Div", [x, _one_plus_exp_minus(graph, x)], "silu"), 4),
)

FUNCTIONS: Mapping[str, Function] = MappingProxyType({row.name: row for row in _ROWS})
