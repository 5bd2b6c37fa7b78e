"""A formula from noisy rows by gplearn's genetic programming, if it is installed."""

import importlib.util
from collections.abc import Sequence
from typing import Any

import sympy

from benchmarks.paper.experiments.noise.laws import Values

_POPULATION, _GENERATIONS = 2000, 20
# One penalty for all laws; of gplearn's examples.
_PARSIMONY = 0.001
# gplearn protects some functions outside of their domain; on the laws' ranges they are these.
_MEANING = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "sqrt": lambda a: sympy.sqrt(sympy.Abs(a)),
    "log": lambda a: sympy.log(sympy.Abs(a)),
    "neg": lambda a: -a,
    "inv": lambda a: 1 / a,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "exp": sympy.exp,
}


def is_installed() -> bool:
    """Whether gplearn can be imported."""
    return importlib.util.find_spec("gplearn") is not None


def find_formula(rows: Values, values: Values, names: Sequence[str], seed: int, quick: bool = False) -> sympy.Expr:
    """The best program of the last generation, in symbols of the given names.

    Args:
        rows: ``[rows, variables]``, all of them.
        values: ``[rows]``.
        names: Of the variables.
        seed: Of the first generation.
        quick: Few programs and generations.

    Raises:
        SystemExit: gplearn is not installed.
    """
    if not is_installed():
        raise SystemExit("gplearn is not installed; `make .venv/.installed-bench` brings it")
    from gplearn.functions import make_function
    from gplearn.genetic import SymbolicRegressor

    exp = make_function(function=_bounded_exp, name="exp", arity=1)
    regressor: Any = SymbolicRegressor(
        population_size=100 if quick else _POPULATION,
        generations=2 if quick else _GENERATIONS,
        function_set=[*(name for name in _MEANING if name != "exp"), exp],
        parsimony_coefficient=_PARSIMONY,
        const_range=(-3.0, 3.0),
        metric="rmse",
        random_state=seed,
    )
    regressor.fit(rows, values)
    return parse(str(regressor._program), names)


def parse(program: str, names: Sequence[str]) -> sympy.Expr:
    """A program such as ``add(mul(X0, 0.5), X1)`` as an expression.

    Raises:
        ValueError: an unknown function or variable.
    """
    symbols = {f"X{place}": sympy.Symbol(name, real=True) for place, name in enumerate(names)}
    expression, rest = _read(program.replace(" ", ""), symbols)
    if rest:
        raise ValueError(f"{program!r} goes on with {rest!r}; wanted one program")
    return expression


def _read(text: str, symbols: dict[str, sympy.Symbol]) -> tuple[sympy.Expr, str]:
    """The first term of a text, and the rest of it."""
    end = next((place for place, letter in enumerate(text) if letter in "(,)"), len(text))
    head, rest = text[:end], text[end:]
    if not rest.startswith("("):
        if head in symbols:
            return symbols[head], rest
        return sympy.Float(head), rest
    if head not in _MEANING:
        raise ValueError(f"no function {head!r}; wanted {', '.join(_MEANING)}")
    given = []
    while not rest.startswith(")"):
        value, rest = _read(rest[1:], symbols)
        given.append(value)
    return _MEANING[head](*given), rest[1:]


def _bounded_exp(x: Values) -> Values:
    """Finite for all x: gplearn refuses functions that are not."""
    import numpy as np

    return np.exp(np.minimum(x, 50.0))
