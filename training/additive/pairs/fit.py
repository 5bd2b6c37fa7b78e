"""Fit pairs of columns beside the curves: their products and the curves' coefficients together."""

from collections.abc import Sequence

import numpy as np
import torch

from training.additive.newton import Curves
from training.additive.pairs.likelihood import Likelihood
from training.additive.pairs.strength import strongest_pairs
from training.additive.rows import TermRows
from training.additive.solution import Problem, Solution, solve
from training.additive.sums import Sums
from training.additive.terms import Pair, Side


def add_pairs(solution: Solution, problem: Problem, sides: Sequence[Side], count: int) -> Solution:
    """The fit with the strongest pairs, the strongest one first; the λs of the curves stay.

    Args:
        solution: The curves alone.
        problem: What they are fitted to.
        sides: The columns.
        count: How many pairs, at most as many as there are.

    Raises:
        ArithmeticError: no λ gives a finite fit.
    """
    curves, fixed = solution.curves, len(solution.rows.widths)
    pairs = [_pair(solution.rows, *each) for each in strongest_pairs(solution, problem, sides, count)]
    terms = solution.rows.terms.with_pairs(pairs)
    products, penalties = sum(terms.widths[fixed:]), len(terms.widths) - fixed
    nothing = curves.coefficients.new_zeros(products, curves.coefficients.shape[1])
    start = Curves(
        torch.cat([curves.coefficients, nothing]),
        tuple(np.concatenate([place, np.zeros(penalties)]) for place in curves.log_strengths),
        curves.chosen,
    )

    def score(sums: Sums) -> Likelihood:
        return Likelihood(sums, terms.widths, problem.family.score, fixed)

    return solve(solution.rows.with_pairs(terms), problem, start, score)


def _pair(rows: TermRows, first: Side, second: Side) -> Pair:
    """Two columns as a term: the products of a penalty have a sum of squares over the rows of 1 on average."""
    plain = Pair(first, second, ())
    values = [dict(zip(side.functions, rows.functions(side).T, strict=True)) for side in (first, second)]
    factors = []
    for block in plain.blocks():
        squares = sum(float((values[0][one] * values[1][two]).square().sum()) for one, two in block) / len(block)
        factors.append(squares**-0.5 if squares > 0 else 0.0)
    return Pair(first, second, tuple(factors))
