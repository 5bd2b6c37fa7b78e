"""Formulas made shorter for people: whole numbers, fewer digits, another form."""

import math
from collections.abc import Callable, Iterator

import sympy

# Longer formulas are not simplified: it would take sympy minutes, and nobody reads the result.
_MOST_OPERATIONS = 300
# A formula that has more terms when expanded is not expanded.
_MOST_TERMS = 200


def shorten(expression: sympy.Expr, *, near: float = 0.0, simplify: bool = False) -> sympy.Expr:
    """A formula with rounder numbers or in a shorter form, easier to read.

    Args:
        expression: The formula; its numbers are Float if they are not whole.
        near: A number this close to a whole number becomes the whole number. A factor never becomes 0, because its
            term may be large: 0.001·x with x = 10⁶. With 0 only whole numbers change, from Float to Integer.
        simplify: Take the form with the fewest operations of these: unchanged, expanded, over a common denominator,
            with common factors taken out. A formula of more than 300 operations stays unchanged.

    Returns:
        The new formula.
    """

    def whole(value: float) -> float:
        return round(value) if abs(value - round(value)) <= near else value

    expression = _until_it_stays(expression, whole)
    if not simplify or sympy.count_ops(expression) > _MOST_OPERATIONS:
        return expression
    # The other forms contain new numbers, and some are whole up to rounding.
    forms = [_until_it_stays(form, whole) for form in _forms(expression)]
    return min(forms, key=lambda form: (_count_beyond_float64(form), sympy.count_ops(form)))


def round_numbers(expression: sympy.Expr, digits: int | None) -> sympy.Expr:
    """The formula with its numbers rounded to ``digits`` significant digits; None: unchanged."""
    return expression if digits is None else _until_it_stays(expression, lambda value: float(f"{value:.{digits}g}"))


def _until_it_stays(expression: sympy.Expr, change: Callable[[float], float]) -> sympy.Expr:
    """The formula with every Float changed, and again: sympy multiplies numbers, as in 2·(0.314·x)."""
    before = None
    while expression != before:
        before, expression = expression, _change_numbers(expression, change)
    return expression


def _change_numbers(expression: sympy.Expr, change: Callable[[float], float]) -> sympy.Expr:
    """The formula with every Float changed; whole results become integers.

    The formula stays unchanged if the change would make a number that is not real or not a float64.
    """
    floats = {each: float(each) for each in expression.atoms(sympy.Float)}
    changes = {each: _number(change(value)) for each, value in floats.items() if 0 < abs(value) < math.inf}
    if sympy.S.Zero in changes.values():
        for part in sympy.preorder_traversal(expression):
            for factor in () if part.is_Add else part.args:
                if changes.get(factor) == 0:
                    del changes[factor]
    try:
        result = expression.xreplace(changes)
    except OverflowError:  # The formula became a number such as e^(e^(10^30)).
        return expression
    return expression if _count_beyond_float64(result) > _count_beyond_float64(expression) else result


def _count_beyond_float64(expression: sympy.Expr) -> int:
    """How many numbers in it are not real, or outside the range of float64."""
    undefined = expression.atoms(type(sympy.I), type(sympy.zoo), type(sympy.nan), type(sympy.oo), type(-sympy.oo))
    return len(undefined) + sum(not 0 < abs(float(each)) < math.inf for each in expression.atoms(sympy.Float))


def _number(value: float) -> sympy.Expr:
    return sympy.Integer(int(value)) if value == int(value) and abs(value) < 2**53 else sympy.Float(value)


def _forms(expression: sympy.Expr) -> Iterator[sympy.Expr]:
    yield expression
    if _terms(expression) <= _MOST_TERMS:
        yield sympy.expand(expression, log=False, power_exp=False, power_base=False, trig=False)
    yield sympy.together(expression)
    yield sympy.factor_terms(expression)


def _terms(expression: sympy.Expr) -> int:
    """An upper bound of the number of terms of the expanded formula and of each function's argument in it."""
    if not expression.args:
        return 1
    terms = [_terms(argument) for argument in expression.args]
    if expression.is_Add:
        return sum(terms)
    if expression.is_Mul:
        return math.prod(terms)
    if expression.is_Pow and expression.exp.is_Integer:
        power = abs(int(expression.exp))
        return math.comb(terms[0] + power - 1, power)
    return max(terms)
