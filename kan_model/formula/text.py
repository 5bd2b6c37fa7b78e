"""Formulas as plain text and as LaTeX, with symbols for columns of any name."""

import builtins
import keyword
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter

# Greek letters that both LaTeX and matplotlib's mathtext know.
_GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|upsilon|phi|chi|psi|omega"
    "|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega"
)
# Characters that must be escaped in LaTeX's \text. The last three have no escape that mathtext knows, so similar
# Unicode characters replace them.
_ESCAPED = str.maketrans({char: f"\\{char}" for char in "#$%&_{}"} | {"\\": "∖", "^": "ˆ", "~": "∼"})


@dataclass(frozen=True)
class Columns:
    """The names of the features in formulas, one entry per feature in each attribute.

    Attributes:
        symbols: Real symbols. Their names are distinct Python identifiers that are no function or constant.
        texts: The original names, in backticks if they are not such identifiers: `my column`. A suffix such as " [2]"
            distinguishes equal names.
        latex: Upright text. Single letters, letters with a number, and Greek letters are set as in mathematics.
    """

    symbols: tuple[sympy.Symbol, ...]
    texts: tuple[str, ...]
    latex: tuple[str, ...]


def columns(names: Sequence[str]) -> Columns:
    """Symbols, texts and LaTeX for columns of any names; the same name may occur twice."""
    symbols: list[str] = []
    texts: list[str] = []
    latex: list[str] = []
    for index, name in enumerate(names):
        own = _make_distinct(name if name.strip() else f"{name}[{index}]", f" [{index}]", texts)
        texts.append(own)
        symbols.append(_make_distinct(_identifier(name, index), f"_{index}", symbols))
        short = _format_as_mathematics(name)
        latex.append(f"\\text{{{_escape(own)}}}" if short is None or short in latex else short)
    for index, (written, own) in enumerate(zip(latex, texts, strict=True)):
        if latex.count(written) > 1:  # The names differ in spaces only.
            latex[index] = f"\\text{{{_escape(own)} [{index}]}}"
    quoted = (each if each == symbol else f"`{each}`" for each, symbol in zip(texts, symbols, strict=True))
    return Columns(tuple(sympy.Symbol(symbol, real=True) for symbol in symbols), tuple(quoted), tuple(latex))


def to_text(expression: sympy.Expr, columns: Columns) -> str:
    """The formula as Python writes it. Numbers have as many digits as identify the float64."""
    text: str = _Text(columns).doprint(expression)
    return text


def to_latex(expression: sympy.Expr, columns: Columns) -> str:
    """The formula without dollar signs, for LaTeX with amsmath or mathtext; numbers as in :func:`to_text`."""
    latex: str = _Latex(columns).doprint(expression)
    return latex


def _make_distinct(name: str, mark: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += mark
    return name


def _escape(name: str) -> str:
    return " ".join(name.split()).translate(_ESCAPED)


def _identifier(name: str, index: int) -> str:
    # Python normalises identifiers to NFKC: two names that differ before may be the same identifier.
    normal = unicodedata.normalize("NFKC", name)
    result = re.sub("_+", "_", "".join(char if f"a{char}".isidentifier() else "_" for char in normal)).strip("_")
    if not result:
        return f"x_{index}"
    if not result.isidentifier():
        result = f"x_{result}"
    if keyword.iskeyword(result) or result.startswith("phi_") or _is_taken(result):
        result += "_"
    return result


def _is_taken(name: str) -> bool:
    """Whether the name is a function or constant of a library that may read the formula: sympy, numpy or Python."""
    return any(name in vars(module) for module in (sympy, np, builtins))


def _format_as_mathematics(name: str) -> str | None:
    r"""The name as mathematics: x, x_{1}, \theta, \theta_{1}; None if it is a word."""
    found = re.fullmatch(r"([A-Za-z]+?)_?(\d*)", name)
    if found is None:
        return None
    letter, number = found.groups()
    if _GREEK.fullmatch(letter):
        letter = f"\\{letter}"
    elif len(letter) > 1 or letter == "e":
        return None
    return f"{letter}_{{{number}}}" if number else letter


def _number(value: sympy.Float) -> str:
    number = float(value)
    if not 0 < abs(number) < np.inf:  # sympy's numbers have a larger range than float64.
        return str(value)
    if 1e-4 <= abs(number) < 1e9:
        return np.format_float_positional(number, trim="-")
    mantissa, _, exponent = repr(number).partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


class _Text(StrPrinter):  # type: ignore[misc]
    def __init__(self, columns: Columns) -> None:
        super().__init__()
        self._names: dict[sympy.Symbol, str] = dict(zip(columns.symbols, columns.texts, strict=True))

    def _print_Symbol(self, expr: sympy.Symbol) -> str:  # noqa: N802
        return self._names[expr]

    def _print_Float(self, expr: sympy.Float) -> str:  # noqa: N802
        return _number(expr)


class _Latex(LatexPrinter):  # type: ignore[misc]
    def __init__(self, columns: Columns) -> None:
        names = dict(zip(columns.symbols, columns.latex, strict=True))
        super().__init__({"symbol_names": names, "inv_trig_style": "full"})

    def _print_Float(self, expr: sympy.Float) -> str:  # noqa: N802
        mantissa, _, exponent = _number(expr).partition("e")
        return f"{mantissa} \\cdot 10^{{{exponent}}}" if exponent else mantissa

    def _print_AppliedUndef(self, expr: sympy.Function, exp: str | None = None) -> str:  # noqa: N802
        name, *place = expr.func.__name__.split("_")
        power = "" if exp is None else f"^{{{exp}}}"
        return f"\\{name}_{{{','.join(place)}}}{power}{{\\left({self._print(expr.args[0])} \\right)}}"
