"""The symbolic library: the functions that an edge may be, one row each.

None is protected: beyond its domain a function answers what IEEE 754 says (NaN or an infinity), the same in torch and
in ONNX. Its guard tells where that does not happen.
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

    # At run time this would be a circle: lowering reads layers, layers read this table.
    from kan_model.onnx_graph import GraphBuilder

# A NumPy array for an array, a tensor for a tensor: of bool.
Guard = Callable[[Any], Any]


@dataclass(frozen=True)
class Function:
    """One function of one variable.

    Attributes:
        name: As it stands in checkpoints.
        torch: Elementwise, any floating type; its slope is finite wherever the guard holds.
        onnx: Writes it as standard operators (opset 17) for a float32 value of any shape; gives the name of the result.
        sympy: Its formula for a formula; imports sympy when it is called.
        guard: For an array or a tensor of arguments, where the function is defined and finite as a function of real
            numbers, elementwise; False for NaN and infinities. A result too large for the type is not its matter.
        complexity: How much a formula that holds it costs a reader; of two fits as good the lower is taken.
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
    # Not the Sigmoid operator: onnxruntime's is off by 1e-7 where the function itself is smaller than that.
    decay = graph.op("Exp", [graph.op("Neg", [x], "minus")], "decay")
    return graph.op("Add", [decay, graph.floats(1.0, "one")], "one_plus_decay")


def _sgn(graph: "GraphBuilder", x: str) -> str:
    # ONNX does not say what the sign of NaN is.
    return graph.op("Where", [graph.op("IsNaN", [x], "is_nan"), x, graph.op("Sign", [x], "sign")], "sgn")


def _one_and_a_half(graph: "GraphBuilder", x: str) -> str:
    return graph.op("Mul", [x, graph.op("Sqrt", [x], "sqrt")], "one_and_a_half")


def _sloped(function: Callable[[Tensor], Tensor], end: float) -> Callable[[Tensor], Tensor]:
    """A function whose slope is infinite where |x| is ``end``, with the slope zero there instead.

    A row at the end of sqrt or arcsin then has no say in where training goes; an infinite one, or the 0 · ∞ that comes
    of it, would make all weights NaN.
    """
    return lambda x: function(torch.where(torch.abs(x) == end, x.detach(), x))


_root = _sloped(torch.sqrt, 0.0)


def _of_square(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: function(x * x)


def _sympy(name: str) -> "Callable[[Expr], Expr]":
    """A function that sympy has under this name."""

    def form(x: "Expr") -> "Expr":
        # Here, not above: it takes a quarter of a second, and only formulas need it.
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
    # No float is a pole itself: next to one the tangent is finite and says nothing.
    periods = x / math.pi - 0.5
    with np.errstate(invalid="ignore"):  # of infinities, which give NaN and so False
        return abs(periods - periods.round()) > POLE_MARGIN


# How near to a pole the guard of tan refuses, in periods.
POLE_MARGIN = 1e-6

# Complexities are pykan's (kan/utils.py, SYMBOLIC_LIB). Of what it lacks, silu costs what its sigmoid does, and sinh
# what its cosh does (both commented out there).
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
        "1/x^4",
        _of_square(lambda square: torch.reciprocal(square * square)),
        _over_of(_fourth),
        lambda x: 1 / x**4,
        _not_zero,
        4,
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
    Function("arcsin", _sloped(torch.asin, 1.0), _operator("Asin"), _sympy("asin"), _up_to_one, 4),
    Function("arccos", _sloped(torch.acos, 1.0), _operator("Acos"), _sympy("acos"), _up_to_one, 4),
    Function("arctan", torch.atan, _operator("Atan"), _sympy("atan"), _everywhere, 4),
    Function("arctanh", torch.atanh, _operator("Atanh"), _sympy("atanh"), _below_one, 4),
    # torch says that the sign of NaN is 0.
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

# pykan's second names of the same functions, and the name here.
ALIASES: Mapping[str, str] = MappingProxyType({"x^0.5": "sqrt", "1/x^0.5": "1/sqrt(x)"})
