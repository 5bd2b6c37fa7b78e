"""Formulas made shorter for people: whole numbers, fewer digits, another form."""

import math
from collections.abc import Callable, Iterator

import sympy

# Longer formulas stay as they are: sympy's steps take the longer the more there is, and nobody reads the result.
_MOST_OPERATIONS = 300
# Terms of a formula without brackets, above which it is not written without them.
_MOST_TERMS = 200


def shortened(expression: sympy.Expr, *, near: float = 0.0, simplify: bool = False) -> sympy.Expr:
    """A formula of other numbers, or of another form, that people may like better.

    Args:
        expression: The formula; its numbers are Float where they are not whole.
        near: Numbers as near as this to a whole one become that one, but no factor becomes zero: what it stands before
            may be large. 0: only those that are whole.
        simplify: Take the form with the fewest operations: as it is, without brackets, over a common denominator, with
            common factors taken out. A formula of more than 300 operations stays as it is.
    """

    def whole(value: float) -> float:
        return round(value) if abs(value - round(value)) <= near else value

    expression = _with_numbers(expression, whole)
    if not simplify or sympy.count_ops(expression) > _MOST_OPERATIONS:
        return expression
    # In other forms there are new numbers, whole up to rounding.
    forms = [_with_numbers(form, whole) for form in _forms(expression)]
    return min(forms, key=lambda form: (_beyond(form), sympy.count_ops(form)))


def rounded(expression: sympy.Expr, digits: int | None) -> sympy.Expr:
    """With numbers of so many significant digits; None: as they are."""
    if digits is None:
        return expression
    before = None
    while expression != before:  # Numbers that meet now, as in 2·(0.314·x), make others.
        before, expression = expression, _with_numbers(expression, lambda value: float(f"{value:.{digits}g}"))
    return expression


def _with_numbers(expression: sympy.Expr, change: Callable[[float], float]) -> sympy.Expr:
    """With every Float changed; whole ones become integers. As it was where that leaves what float64 cannot say."""
    floats = {each: float(each) for each in expression.atoms(sympy.Float)}
    changes = {each: _number(change(value)) for each, value in floats.items() if 0 < abs(value) < math.inf}
    if sympy.S.Zero in changes.values():
        for part in sympy.preorder_traversal(expression):
            for factor in () if part.is_Add else part.args:
                if changes.get(factor) == 0:
                    del changes[factor]
    try:
        result = expression.xreplace(changes)
    except OverflowError:  # e^(e^(10^30)), of a formula that became a number
        return expression
    return expression if _beyond(result) > _beyond(expression) else result


def _beyond(expression: sympy.Expr) -> int:
    """How many numbers in it are not real, or no float64."""
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
    """No fewer terms than the formula, and each argument of a function in it, has without brackets."""
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
