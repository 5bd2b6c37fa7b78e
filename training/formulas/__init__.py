"""A formula without luck: shapes are tried, functions are chosen by the whole network's loss, constants become plain.

`shapes` trains a few small networks of different shapes and takes off the edges that nothing misses. `in_context` turns
their edges into functions, `local_search` exchanges functions for better ones, and
:mod:`kan_model.symbolic.simplify` holds constants at 0, 1 or -1 where the rows allow it. The form with the lowest
criterion is the formula: n·log(mean squared error) + (complexity + free constants)·log n, over the n training rows.

A budget of counted work bounds each search (`work`): where it runs out, the best form so far is the formula.
"""

from training.formulas.search import FormulaSearch, NoFormula, search_formula

__all__ = ["FormulaSearch", "NoFormula", "search_formula"]
