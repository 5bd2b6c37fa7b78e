"""The symbolic library: the functions that an edge can be, one table row each.

Functions are not protected: outside its domain a function gives what IEEE 754 says (NaN or an infinity), in torch as
in ONNX. For example log(−1) is NaN. The guard of a function tells where its result is finite.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import silu

if TYPE_CHECKING:
    from sympy import Expr

    # For types only. onnx_graph imports onnx, and `import kan_model` must not.
    from kan_model.onnx_graph import GraphBuilder

# Takes a NumPy array or a tensor and returns the same kind, of bool.
Guard = Callable[[Any], Any]


@dataclass(frozen=True)
class Function:
    """One function of one variable.

    Attributes:
        name: The name that checkpoints use.
        torch: The function, elementwise, for any floating type. Its gradient is finite wherever the guard is True.
        onnx: Writes standard operators (opset 17) for a float32 value of any shape; returns the name of the result.
        sympy: The function of a sympy expression; imports sympy when it is called.
        guard: Elementwise, for an array or a tensor: True where the function of a real number is defined and finite.
            False for NaN and infinities. Overflow is not checked: exp(1000) is True.
        complexity: How hard the function makes a formula to read. Of two fits that are equally good the one with the
            lower complexity is taken.
    """

    name: str
    torch: Callable[[Tensor], Tensor]
    onnx: "Callable[[GraphBuilder, str], str]"
    sympy: "Callable[[Expr], Expr]"
    guard: Guard
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


def _over_of(power: "Callable[[GraphBuilder, str], str]") -> "Callable[[GraphBuilder, str], str]":
    return lambda graph, x: _over(graph, power(graph, x))


def _gaussian(graph: "GraphBuilder", x: str) -> str:
    return graph.op("Exp", [graph.op("Neg", [_square(graph, x)], "minus_square")], "gaussian")


def _one_plus_exp_minus(graph: "GraphBuilder", x: str) -> str:
    # Not the Sigmoid operator: onnxruntime's has an absolute error of 1e-7, more than the value itself for x < -17.
    decay = graph.op("Exp", [graph.op("Neg", [x], "minus")], "decay")
    return graph.op("Add", [decay, graph.floats(1.0, "one")], "one_plus_decay")


def _sgn(graph: "GraphBuilder", x: str) -> str:
    # ONNX does not define the sign of NaN.
    return graph.op("Where", [graph.op("IsNaN", [x], "is_nan"), x, graph.op("Sign", [x], "sign")], "sgn")


def _one_and_a_half(graph: "GraphBuilder", x: str) -> str:
    return graph.op("Mul", [x, graph.op("Sqrt", [x], "sqrt")], "one_and_a_half")


def _flatten_end(function: Callable[[Tensor], Tensor], end: float) -> Callable[[Tensor], Tensor]:
    """Set a function's gradient to 0 where |x| is ``end``; without this it is infinite there.

    For example the gradient of sqrt is infinite at 0. One such row would make all weights NaN (0 · ∞); with a gradient
    of 0 the row has no effect on training.
    """
    return lambda x: function(torch.where(torch.abs(x) == end, x.detach(), x))


_root = _flatten_end(torch.sqrt, 0.0)


def _of_square(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: function(x * x)


def _sympy(name: str) -> "Callable[[Expr], Expr]":
    """The sympy function of this name."""

    def form(x: "Expr") -> "Expr":
        # Imported here because the import takes 0.25 seconds and only formulas need it.
        import sympy

        result: Expr = getattr(sympy, name)(x)
        return result

    return form


_exp, _sqrt = _sympy("exp"), _sympy("sqrt")


def _everywhere(x: Any) -> Any:
    return abs(x) < math.inf


def _positive(x: Any) -> Any:
    return (x > 0) & (x < math.inf)


def _not_negative(x: Any) -> Any:
    return (x >= 0) & (x < math.inf)


def _not_zero(x: Any) -> Any:
    return (x != 0) & _everywhere(x)


def _up_to_one(x: Any) -> Any:
    return abs(x) <= 1


def _below_one(x: Any) -> Any:
    return abs(x) < 1


def _off_poles_of_tan(x: Any) -> Any:
    # No float is exactly a pole. Next to a pole the tangent is finite but its value is all rounding.
    periods = x / math.pi - 0.5
    with np.errstate(invalid="ignore"):  # An infinity gives NaN here, and NaN gives False.
        return abs(periods - periods.round()) > POLE_MARGIN


# The guard of tan is False within this distance of a pole, in periods.
POLE_MARGIN = 1e-6

# The complexities are pykan's (kan/utils.py, SYMBOLIC_LIB). pykan has no silu and no sinh: silu gets the complexity of
# pykan's sigmoid and sinh that of pykan's cosh (both are commented out there).
_ROWS = (
    Function("x", lambda x: x, lambda _, x: x, lambda x: x, _everywhere, 1),
    Function("x^2", lambda x: x * x, _square, lambda x: x**2, _everywhere, 2),
    Function("x^3", lambda x: x * x * x, _cube, lambda x: x**3, _everywhere, 3),
    Function("x^4", _of_square(torch.square), _fourth, lambda x: x**4, _everywhere, 3),
    Function("x^5", lambda x: torch.square(x * x) * x, _fifth, lambda x: x**5, _everywhere, 3),
    Function("1/x", torch.reciprocal, _over, lambda x: 1 / x, _not_zero, 2),
    Function("1/x^2", _of_square(torch.reciprocal), _over_of(_square), lambda x: 1 / x**2, _not_zero, 2),
    Function("1/x^3", lambda x: torch.reciprocal(x * x * x), _over_of(_cube), lambda x: 1 / x**3, _not_zero, 3),
    Function(
        "1/x^4", _of_square(lambda s: torch.reciprocal(s * s)), _over_of(_fourth), lambda x: 1 / x**4, _not_zero, 4
    ),
    Function(
        "1/x^5",
        lambda x: torch.reciprocal(torch.square(x * x) * x),
        _over_of(_fifth),
        lambda x: 1 / x**5,
        _not_zero,
        5,
    ),
    Function("sqrt", _root, _operator("Sqrt"), _sqrt, _not_negative, 2),
    Function("x^1.5", lambda x: x * _root(x), _one_and_a_half, lambda x: x * _sqrt(x), _not_negative, 4),
    Function(
        "1/sqrt(x)",
        lambda x: torch.reciprocal(torch.sqrt(x)),
        _over_of(_operator("Sqrt")),
        lambda x: 1 / _sqrt(x),
        _positive,
        2,
    ),
    Function("exp", torch.exp, _operator("Exp"), _exp, _everywhere, 2),
    Function("log", torch.log, _operator("Log"), _sympy("log"), _positive, 2),
    Function("abs", torch.abs, _operator("Abs"), _sympy("Abs"), _everywhere, 3),
    Function("sin", torch.sin, _operator("Sin"), _sympy("sin"), _everywhere, 2),
    Function("cos", torch.cos, _operator("Cos"), _sympy("cos"), _everywhere, 2),
    Function("tan", torch.tan, _operator("Tan"), _sympy("tan"), _off_poles_of_tan, 3),
    Function("sinh", torch.sinh, _operator("Sinh"), _sympy("sinh"), _everywhere, 5),
    Function("cosh", torch.cosh, _operator("Cosh"), _sympy("cosh"), _everywhere, 5),
    Function("tanh", torch.tanh, _operator("Tanh"), _sympy("tanh"), _everywhere, 3),
    Function("arcsin", _flatten_end(torch.asin, 1.0), _operator("Asin"), _sympy("asin"), _up_to_one, 4),
    Function("arccos", _flatten_end(torch.acos, 1.0), _operator("Acos"), _sympy("acos"), _up_to_one, 4),
    Function("arctan", torch.atan, _operator("Atan"), _sympy("atan"), _everywhere, 4),
    Function("arctanh", torch.atanh, _operator("Atanh"), _sympy("atanh"), _below_one, 4),
    # The sign of NaN is 0 in torch.
    Function("sgn", lambda x: torch.where(torch.isnan(x), x, torch.sign(x)), _sgn, _sympy("sign"), _everywhere, 3),
    Function("gaussian", lambda x: torch.exp(-x * x), _gaussian, lambda x: _exp(-(x**2)), _everywhere, 3),
    Function("sigmoid", torch.sigmoid, _over_of(_one_plus_exp_minus), lambda x: 1 / (1 + _exp(-x)), _everywhere, 4),
    Function(
        "silu",
        silu,
        lambda graph, x: graph.op("Div", [x, _one_plus_exp_minus(graph, x)], "silu"),
        lambda x: x / (1 + _exp(-x)),
        _everywhere,
        4,
    ),
    Function(
        "0", lambda x: x * 0, lambda g, x: g.op("Mul", [x, g.floats(0, "zero")], "0"), lambda x: x * 0, _everywhere, 0
    ),
)

FUNCTIONS: Mapping[str, Function] = MappingProxyType({row.name: row for row in _ROWS})

# pykan has second names for two functions. Here: pykan's second name to ours.
ALIASES: Mapping[str, str] = MappingProxyType({"x^0.5": "sqrt", "1/x^0.5": "1/sqrt(x)"})
