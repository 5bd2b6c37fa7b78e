"""A network's formulas layer by layer: edges as expressions, and as functions of NumPy arrays."""

import functools
import math
from collections.abc import Callable

import numpy as np
import sympy
import torch
from numpy.typing import NDArray

from kan_model.network.connections import Flags, single_edge
from kan_model.network.functions import FUNCTIONS, Function
from kan_model.network.layer import KANLayer
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.rows.blocks import answers

Values = NDArray[np.float64]
Place = tuple[int, int, int]
# What differences of float64 leave, as a share of the numbers.
_ROUNDING = 4 * float(np.finfo(np.float64).eps)
# sympy writes e^(x + b) as e^b·e^x. This is allowed up to |b| = 50: e^50 is 5e21.
_LARGE_EXPONENT = 50


def number(value: float) -> sympy.Expr:
    """The same number, bit for bit. Whole numbers become integers, so that formulas have no 1.0·x and no x + 0.0."""
    if math.isfinite(value):
        return sympy.Integer(int(value)) if value.is_integer() and abs(value) < 2**53 else sympy.Float(value)
    return sympy.nan if math.isnan(value) else sympy.oo * (1 if value > 0 else -1)


def line(factor: sympy.Expr, value: sympy.Expr, shift: sympy.Expr) -> sympy.Expr:
    """factor·value + shift, expanded: 2·(x + 1) + 3 becomes 2·x + 5."""
    return _restore_integers(sympy.Add(*(factor * term for term in sympy.Add.make_args(value)), shift))


def drop_rounding(value: sympy.Expr, shift: sympy.Expr) -> sympy.Expr:
    """Without a constant that is what rounding left of a shift: of x − 251655.5 + 251655.5 the 3e-11."""
    constant, rest = value.as_coeff_Add()
    return rest if constant.is_Float and abs(constant) <= _ROUNDING * abs(shift) else value


def _restore_integers(value: sympy.Expr) -> sympy.Expr:
    """Whole numbers that arithmetic made floats become integers again."""
    terms = [term.as_coeff_Mul() for term in sympy.Add.make_args(value)]
    if not any(_is_whole_float(factor) for factor, _ in terms):
        return value
    return sympy.Add(*((number(float(factor)) if _is_whole_float(factor) else factor) * rest for factor, rest in terms))


def _is_whole_float(factor: sympy.Expr) -> bool:
    # sympy's numbers have a larger range than float64: a number that float64 rounds to 0 is not whole.
    return factor.is_Float and float(factor) != 0 and float(factor).is_integer()


def node_expressions(index: int, layer: KANLayer, live: Flags, values: list[sympy.Expr]) -> list[sympy.Expr]:
    """The layer's nodes as expressions, for given expressions of its inputs. A sum without live edges is its bias."""
    symbolic, bias = _symbolic_edges(layer), _bias(layer)
    sums = []
    for output in range(layer.sums):
        terms = [number(bias[output])]
        for input_ in np.flatnonzero(live[output]).tolist():
            edge, value = symbolic.get((output, input_)), values[input_]
            if edge is not None:
                terms.append(_symbolic(edge, value))
            elif value.is_number:
                terms.append(number(float(spline(layer, output, input_)(np.array([float(value)]))[0])))
            else:
                terms.append(_phi((index, output, input_))(value))
        sums.append(sympy.Add(*terms))
    return _multiply(layer, sums)


def node_function(index: int, layer: KANLayer, live: Flags) -> Callable[[Values], Values]:
    """The layer as a function of its inputs ``[rows, inputs]``, with the operations of the formulas, one by one."""
    symbolic, bias = _symbolic_edges(layer), _bias(layer)
    symbols = sympy.symbols(f"x:{layer.inputs}", real=True)
    splines, sums = {}, []
    # evaluate(False): sympy's results for zero, infinities and negative numbers differ from those of IEEE 754.
    with sympy.evaluate(False):
        for output in range(layer.sums):
            terms = [sympy.Float(bias[output])]
            for input_ in np.flatnonzero(live[output]).tolist():
                x, edge = symbols[input_], symbolic.get((output, input_))
                if edge is None:
                    phi = _phi((index, output, input_))
                    splines[phi.__name__] = spline(layer, output, input_)
                    terms.append(phi(x))
                else:
                    a, b, c, d = map(sympy.Float, edge.affine)
                    terms.append(c * FUNCTIONS[edge.function].sympy(a * x + b) + d)
            sums.append(sympy.Add(*terms))
        nodes = _multiply(layer, sums)
    function = sympy.lambdify([symbols], nodes, modules=[splines, "numpy"])

    def apply(values: Values) -> Values:
        result = np.empty((len(values), layer.outputs))
        for output, column in enumerate(function(values.T)):
            result[:, output] = column
        return result

    return apply


def _multiply(layer: KANLayer, sums: list[sympy.Expr]) -> list[sympy.Expr]:
    """The nodes of these sums."""
    if layer.products is None:
        return sums
    return [sympy.Mul(*(sums[sum_] for sum_ in node)) for node in layer.products.factors]


def _symbolic_edges(layer: KANLayer) -> dict[tuple[int, int], SymbolicEdge]:
    """The symbolic edges by (output, input)."""
    return {(edge.output, edge.input): edge for edge in layer.symbolic}


def spline(layer: KANLayer, output: int, input_: int) -> Callable[[Values], Values]:
    """One edge as a function of float64 numbers ``[rows]``."""
    alone = single_edge(layer, output, input_)

    def apply(values: Values) -> Values:
        x = torch.from_numpy(np.ascontiguousarray(values)).to(alone.domain.device)
        result: Values = answers(alone, x[:, None])[:, 0].cpu().numpy()
        return result

    return apply


def _symbolic(edge: SymbolicEdge, value: sympy.Expr) -> sympy.Expr:
    a, b, c, d = map(number, edge.affine)
    argument = line(a, value, b)
    function = FUNCTIONS[edge.function]
    if argument.is_number:
        # Computed with torch: sympy gives log(-1) = iπ and 1/0 = z∞ instead of NaN and ∞.
        result = number(function.torch(torch.tensor(float(argument), dtype=torch.float64)).item())
    else:
        result = _apply_function(function, argument)
        # An imaginary result: the root or logarithm of an argument that is negative for all real inputs.
        result = sympy.nan if result.has(sympy.I) else result
    return line(c, result, d)


def _apply_function(function: Function, argument: sympy.Expr) -> sympy.Expr:
    """The function of the argument, with large shifts inside exponentials.

    e^(x − 2020.25) is written as 0.78·e^(x − 2020); sympy alone would write 3e-878·e^x, and 3e-878 is 0 in float64.
    """
    constant, rest = argument.as_coeff_Add()
    if abs(constant) < _LARGE_EXPONENT:
        return function.sympy(argument)
    whole = sympy.Integer(round(constant))
    x = sympy.Dummy(real=True)
    exponentials = {
        sympy.exp(sign * x): sympy.exp(sign * (constant - whole)) * sympy.exp(sign * (rest + whole)) for sign in (1, -1)
    }
    return function.sympy(x).xreplace(exponentials).xreplace({x: argument})


@functools.cache
def _phi(place: Place) -> sympy.Function:
    return sympy.Function("phi_" + "_".join(map(str, place)))


def _bias(layer: KANLayer) -> list[float]:
    bias: list[float] = [0.0] * layer.sums if layer.bias is None else layer.bias.detach().tolist()
    return bias
