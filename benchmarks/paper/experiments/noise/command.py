"""A formula from noisy rows by the command line: `kan-train init --formula`, then `kan-train run`, without an edit.

The formula is the one that the run prints for people, with its four digits, served or told beside the network.
"""

import contextlib
import io
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sympy

from benchmarks.paper.experiments.noise.laws import Values
from training.cli import main

_TARGET = "y"
_FORMULA, _NOTE = re.compile(rf"^  formula   {_TARGET} = (.+)$", re.MULTILINE), re.compile(r"^  symbolic: (.+)$", re.M)
_SHAPE, _AGREEING = re.compile(r"shape (\[.+?\]);"), re.compile(r"(\d+) of \d+ searches found the same form")
# The five searches of a recipe become a short one of few functions: the way is the same.
_FIVE, _QUICK = "seeds = 5", 'seeds = 1\nbudget = 8\nfunctions = ["x", "x^2"]'


@dataclass(frozen=True)
class Printed:
    """What a run printed.

    Attributes:
        expression: The formula, in real symbols of the table's columns.
        text: The formula as it was printed.
        shape: Of the network that it is.
        agreeing: How many of the searches found its form.
        is_served: Whether the published version answers by it.
    """

    expression: sympy.Expr
    text: str
    shape: str
    agreeing: int
    is_served: bool


def find_formula(rows: Values, values: Values, names: Sequence[str], quick: bool = False) -> Printed | None:
    """The formula that the commands print for a table; None if they print none.

    Args:
        rows: ``[rows, variables]``, all of them: the recipe splits them.
        values: ``[rows]``.
        names: Of the variables, the columns of the table.
        quick: One search of few functions, in place of the recipe's.

    Raises:
        RuntimeError: a command failed, but for a run that publishes nothing.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, recipe, runs = folder / "law.csv", folder / "law.toml", folder / "runs"
        header = ",".join([*names, _TARGET])
        np.savetxt(table, np.column_stack([rows, values]), "%.17g", ",", header=header, comments="")
        _told("init", table, "--target", _TARGET, "--formula", "--output", recipe)
        if quick:
            recipe.write_text(recipe.read_text().replace(_FIVE, _QUICK))
        try:
            told = _told("run", recipe, "--models", folder / "models", "--runs", runs)
        except _Refused:  # a run that publishes nothing gives a user no formula
            return None
        return read(told, runs, names)


def read(told: str, runs: Path, names: Sequence[str]) -> Printed | None:
    """The formula among the lines that a run printed, or of the file that they name for a long one; None: no formula.

    Args:
        told: The lines.
        runs: The folder of runs.
        names: Of the table's columns.
    """
    files = list(runs.glob("*/formula.txt"))
    found = _FORMULA.search(told)
    text = found[1] if found else files[0].read_text().strip().removeprefix(f"{_TARGET} = ") if files else ""
    if not text:
        return None
    note = _NOTE.search(told)
    shape, agreeing = (pattern.search(note[1] if note else "") for pattern in (_SHAPE, _AGREEING))
    symbols = {name: sympy.Symbol(name, real=True) for name in names}
    return Printed(
        sympy.sympify(text, locals=symbols),
        text,
        shape[1] if shape else "",
        int(agreeing[1]) if agreeing else 1,
        "  formula   served" in told,
    )


def _told(*arguments: str | Path) -> str:
    """What a command prints to standard output."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        code = main([str(argument) for argument in arguments])
    if code:
        raise _Refused(f"kan-train {arguments[0]} ended with {code}; its message is above")
    return output.getvalue()


class _Refused(RuntimeError):
    """A command ended with another code than 0."""
