"""Products with one scale each, so that no constant in a formula does the work of another.

Of 0.32·(1.01·a − 3.1)·(2.2·b + 1.5) three numbers are scales; the product has one: 0.711·(a − 3.069)·(b + 0.6818). So a
sum inside a product gives one of its numbers to the number in front, and so does a sum below a power: 3/(2.5·a + 4)
becomes 1.2/(a + 1.6), and 1.2·sqrt(4.1·a² + 4.1·b²) becomes 2.43·sqrt(a² + b²). The value stays, up to rounding.
"""

import sympy

# Numbers that are equal up to so many digits make a formula shorter: 0.99 and 0.99 leave 1.
_DIGITS = 4
# Terms of a sum whose numbers are tried as its scale.
_MOST_TRIED = 8
# A larger number is whole by its rounding alone.
_MOST_PLAIN = 100


def pull_scales(expression: sympy.Expr) -> sympy.Expr:
    """The formula with one number in front of each product, and sums in it that have a term without a number.

    Args:
        expression: The formula; its numbers are Float if they are not whole.

    Returns:
        An equal formula; the given one if numbers would leave the range of float64.
    """
    if not expression.args:
        return expression
    expression = expression.func(*map(pull_scales, expression.args))
    if not (expression.is_Mul or expression.is_Pow):
        return expression
    number, factors = expression.as_coeff_mul() if expression.is_Mul else (sympy.S.One, (expression,))
    plain = list[sympy.Expr]()
    for factor in factors:
        scale, rest = _best(number, factor)
        number *= scale
        plain.append(rest)
    found = number * sympy.Mul(*plain)
    return found if _is_in_range(found) else expression


def _best(number: sympy.Expr, factor: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """The scale of a factor and the rest of it, with the fewest numbers in front of the product and in the rest.

    The sign in front does not count: the scales of the other factors may change it.
    """
    base, power = factor.as_base_exp()
    if not (base.is_Add and power.is_Rational and base.atoms(sympy.Float)):
        return sympy.S.One, factor
    best, fewest = (sympy.S.One, factor), _count(abs(number)) + _count(base) + 1
    # Terms with a column come first: (a + 3)·b, not (a/3 + 1)·b.
    terms = sorted(base.args, key=lambda each: (each.is_number, -abs(each.as_coeff_Mul()[0])))
    for term in terms[:_MOST_TRIED]:
        scale = term.as_coeff_Mul()[0]
        # No real number is the root of a negative one.
        scale = scale if power.is_Integer else sympy.Float(abs(scale))
        rest = sympy.Add(*(each / scale for each in base.args))
        outside = scale**power
        if (count := _count(abs(number * outside)) + _count(rest)) < fewest:
            best, fewest = (outside, rest**power), count
    return best


def _count(expression: sympy.Expr) -> int:
    """The numbers of its terms: 2 for each that is not whole, 1 for a whole one other than 1, and 1 for each minus."""
    numbers = (term.as_coeff_Mul()[0] for term in sympy.Add.make_args(expression))
    return sum(_price(abs(number)) + bool(number < 0) for number in numbers)


def _price(number: sympy.Expr) -> int:
    shown = float(f"{float(number):.{_DIGITS}g}")
    is_whole = number.is_Integer or (number < _MOST_PLAIN and shown.is_integer())
    return int(shown != 1) if is_whole else 2


def _is_in_range(expression: sympy.Expr) -> bool:
    return not expression.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo, sympy.I) and all(
        0 < abs(float(each)) < float("inf") for each in expression.atoms(sympy.Float)
    )
