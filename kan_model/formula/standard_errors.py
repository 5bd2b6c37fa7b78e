"""Standard errors of the constants of a formula.

With the derivatives J ``[n, k]`` of the formula by its k constants on n rows and the sum S of the squared errors, the
constants have the covariance S / (n − k) · (JᵀJ)⁻¹, as in :func:`scipy.optimize.curve_fit`. It holds for constants at
the minimum of S, for rows whose errors do not depend on each other, and for this form: that the form was chosen from
the same rows is not in it.

Example: y = 2·x from the rows (1, 2.1) and (2, 3.9) and (3, 6): 1.993 ± 0.026.
"""

from collections.abc import Sequence

import numpy as np
import sympy
from numpy.typing import NDArray

from kan_model.formula.expression import Formula
from kan_model.formula.text import Columns, columns, to_text

Values = NDArray[np.float64]

# A constant whose derivatives are closer than this to a combination of the others' does the work of others.
_DEPENDENT = 1e-6
# The least squared error of the rows may be this many standard errors away: a constant that was held at 1/2 is at most
# 2.5 from its best value, for 500 rows.
_FARTHEST = 3.0
# Of a central difference, relative to the constant: the cube root of float64's precision.
_STEP = 6e-6
_FEWEST_DIGITS, _MOST_DIGITS = 4, 12


def standard_errors(
    expression: sympy.Expr, symbols: Sequence[sympy.Symbol], rows: Values, targets: Values
) -> dict[sympy.Float, float] | None:
    """One standard error for each constant of a formula; whole numbers and fractions are none.

    Args:
        expression: The formula, with constants that were fitted by least squares.
        symbols: Of the columns.
        rows: ``[rows, columns]``, those that the constants were fitted to.
        targets: ``[rows]``.

    Returns:
        By constant. Where one does the work of another, as in 2.1·exp(x + 0.3), only one of them has an error, the one
        that it has while the other is held. None if there are fewer rows than constants, if some row has no finite
        answer, and if the constants are not near the least squared error.
    """
    if expression.has(sympy.I, sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
        return None
    constants = sorted(expression.atoms(sympy.Float), key=float)
    places = sympy.symbols(f"constant_:{len(constants)}", real=True, cls=sympy.Dummy)
    general = expression.xreplace(dict(zip(constants, places, strict=True)))
    function = sympy.lambdify([*symbols, *places], general, "numpy")
    found = np.array([float(each) for each in constants])

    def answers(at: Values) -> Values:
        with np.errstate(all="ignore"):
            return np.broadcast_to(np.asarray(function(*rows.T, *at), np.float64), len(rows))

    residuals = answers(found) - targets
    if len(rows) <= len(constants):
        return None
    jacobian = np.empty((len(rows), len(found)))
    for place, step in enumerate(np.diag(_STEP * np.abs(found))):
        jacobian[:, place] = (answers(found + step) - answers(found - step)) / (2 * step[place])
    scale = np.linalg.norm(jacobian, axis=0)
    if not (np.isfinite(residuals).all() and np.isfinite(scale).all() and (scale > 0).all()):
        return None
    kept = _independent(jacobian / scale)
    left, values, right = np.linalg.svd((jacobian / scale)[:, kept], full_matrices=False)
    spread = np.sqrt((residuals**2).sum() / (len(rows) - len(kept)))
    errors = spread * np.linalg.norm(right.T / values, axis=1) / scale[kept]
    step_to_best = (right.T / values) @ (left.T @ residuals) / scale[kept]
    if (np.abs(step_to_best) > _FARTHEST * errors).any():
        return None
    return dict(zip((constants[place] for place in kept), errors.tolist(), strict=True))


def _independent(columns: Values) -> list[int]:
    """The places of columns that are no combination of those before them; each column has length 1."""
    kept, basis = list[int](), np.empty((len(columns), 0))
    for place, column in enumerate(columns.T):
        rest = column - basis @ (basis.T @ column)
        rest -= basis @ (basis.T @ rest)
        if (length := np.linalg.norm(rest)) > _DEPENDENT:
            kept.append(place)
            basis = np.column_stack([basis, rest / length])
    return kept


def text_with_errors(found: Formula, rows: Values, targets: Values) -> tuple[str | None, ...]:
    """Each formula as text, with ``(2.1 ± 0.04)`` in the place of each constant that has an error; None without any.

    Args:
        found: The formulas; the constants are taken from ``shown``, so these should have all their digits.
        rows: ``[rows, columns]``.
        targets: ``[rows, outputs]``.
    """
    own, texts = columns(found.names), list[str | None]()
    for shown, of_output in zip(found.shown, targets.T, strict=True):
        errors = standard_errors(shown, found.symbols, rows, of_output)
        texts.append(None if not errors else _text(shown, errors, own))
    return tuple(texts)


def _text(expression: sympy.Expr, errors: dict[sympy.Float, float], own: Columns) -> str:
    constants = sorted(expression.atoms(sympy.Float), key=float)
    # No column's symbol has a space in its name.
    marks = {value: sympy.Symbol(f"constant {place}", real=True) for place, value in enumerate(constants)}
    written = tuple(
        f"({_digits(float(value), errors[value])} ± {errors[value]:.2g})"
        if value in errors
        else (f"{float(value):.{_FEWEST_DIGITS}g}" if value > 0 else f"({float(value):.{_FEWEST_DIGITS}g})")
        for value in marks
    )
    with_marks = Columns((*own.symbols, *marks.values()), (*own.texts, *written), own.latex)
    return to_text(expression.xreplace(marks), with_marks)


def _digits(value: float, error: float) -> str:
    """The value to the second digit of its error, but with four digits at least."""
    below = np.log10(abs(value) / error) if error > 0 else _MOST_DIGITS
    return f"{value:.{int(np.clip(np.ceil(below) + 2, _FEWEST_DIGITS, _MOST_DIGITS))}g}"
