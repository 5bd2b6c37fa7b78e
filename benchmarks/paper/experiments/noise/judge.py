"""Whether a formula that was found is the law.

It is if constants within 1 % of those that were found make it equal to the law; constants smaller than 1 within 0.01.
The constants are fitted again to rows without noise; then the formula has to meet the law on other rows to 1e-6 of its
standard deviation. A summand that the law does not have has to go to 0 so, as 0.003 does.

Example: 0.998·sin(1.003·b)·a is a·sin(b). 0.97·a·sin(b) is not; nor is a·(b − 0.16·b³), which no such constants turn
into the law.
"""

from dataclasses import dataclass

import numpy as np
import sympy
from scipy.optimize import least_squares

from benchmarks.paper.experiments.noise.laws import Law, Values

NEAR, EXACT = 0.01, 1e-6
_ROWS = 300


@dataclass(frozen=True)
class Judgement:
    """What a formula is worth.

    Attributes:
        is_law: Whether it is the law.
        error: Root mean square error on rows without noise, as a share of the law's standard deviation.
    """

    is_law: bool
    error: float


def judge(law: Law, found: sympy.Expr) -> Judgement:
    """Compare a formula in the law's variables with the law."""
    rows, others = law.rows(_ROWS, 7001), law.rows(_ROWS, 7002)
    deviation = float(law.values(rows).std())
    constants = sorted({each for each in sympy.preorder_traversal(found) if each.is_Float}, key=float)
    start = np.array([float(each) for each in constants])
    places = sympy.symbols(f"k0:{len(constants)}", real=True)
    general = found.xreplace(dict(zip(constants, places, strict=True)))
    function = sympy.lambdify([*law.names, *places], general, "numpy")

    def differences(place: Values, at: Values) -> Values:
        with np.errstate(all="ignore"):
            values = np.broadcast_to(np.asarray(function(*at.T, *place)), len(at))
        difference = (np.real(values) - law.values(at)) / deviation
        return np.nan_to_num(difference, nan=1e3, posinf=1e3, neginf=-1e3).clip(-1e3, 1e3)

    error = _root_mean_square(differences(start, others))
    if not len(start):
        return Judgement(error <= EXACT, error)
    bounds = NEAR * np.maximum(np.abs(start), 1)
    fitted = least_squares(
        differences,
        start,
        args=(rows,),
        bounds=(start - bounds, start + bounds),
        x_scale=bounds,
        xtol=1e-14,
        ftol=1e-14,
    )
    return Judgement(_root_mean_square(differences(fitted.x, others)) <= EXACT, error)


def _root_mean_square(values: Values) -> float:
    return float(np.sqrt(np.mean(values**2)))
