"""A network written as formulas: one for each output, in the units of the data.

`expression` builds them with SymPy, `one_scale` and `short` make them shorter, `text` writes them as plain text and
LaTeX. Example: the layer sum 2·log(x1) + 2·log(x2), followed by exp, becomes ``x1**2*x2**2``.
"""

from kan_model.formula.expression import Formula, formula

__all__ = ["Formula", "formula"]
