"""Which pairs of columns there are: those whose products explain most of what the curves leave."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from training.additive.rows import TermRows
from training.additive.solution import Problem, Solution
from training.additive.terms import Side

# Rows that are looked at, and columns: those whose own terms move the answers most.
_MOST_ROWS, _MOST_SIDES = 10_000, 100
# So many bends of a column tell of a pair; pairs that 1 or 5 chose were 1 % worse on concrete and auto.
_BENDS = 3
# What a product must explain at least, in variances of the noise: as much as a degree of freedom costs in GCV.
_PRICE = 1.4
# Relative to the sum of squares of a product.
_RIDGE = 0.01


def strongest_pairs(solution: Solution, problem: Problem, sides: Sequence[Side], count: int) -> list[tuple[Side, Side]]:
    """The strongest pairs, the strongest one first.

    The strength of a pair is what its products explain of the residuals by least squares, in variances of the noise,
    less 1.4 for each product: columns of many words have many. The pairs of several outputs are the same.

    Args:
        solution: The curves, without pairs.
        problem: What they are fitted to.
        sides: The columns.
        count: How many pairs.

    Source: Lou et al., Accurate intelligible models with pairwise interactions (2013), section 4.
    """
    every = max(1, -(-len(solution.rows) // _MOST_ROWS))
    some = torch.arange(0, len(solution.rows), every)
    rows = solution.rows.take(some)
    left = _residuals(solution, rows, *problem.part(some), problem)
    candidates = _most_moving(solution, rows, sides)
    looks = [_few(side) for side in candidates]
    values = [rows.functions(side) for side in looks]
    strengths = {
        (one, two): sum(_strength(values[one], values[two], *each) for each in left)
        for one, two in itertools.combinations(range(len(candidates)), 2)
    }
    best = sorted(strengths, key=lambda pair: -strengths[pair])[:count]
    return [(candidates[one], candidates[two]) for one, two in best]


def _residuals(
    solution: Solution, rows: TermRows, targets: Tensor, weights: Tensor | None, problem: Problem
) -> list[tuple[Tensor, Tensor]]:
    """For each output what is left of its working targets, in standard deviations of the noise, and the weights."""
    scores = rows.answers(solution.curves.coefficients)
    found = []
    for output in range(targets.shape[1]):
        working, factors = problem.family.working(scores, targets, output)
        counted = factors if weights is None else factors * weights
        left = working - scores[:, output]
        noise = 1.0 if problem.family.score == "ubre" else float((counted * left.square()).mean())
        found.append((left / max(noise, 1e-300) ** 0.5, counted))
    return found


def _most_moving(solution: Solution, rows: TermRows, sides: Sequence[Side]) -> list[Side]:
    """At most 100 columns."""
    if len(sides) <= _MOST_SIDES:
        return list(sides)
    coefficients = solution.curves.coefficients
    moves = [float((rows.functions(side) @ coefficients[list(side.functions)]).var(dim=0).sum()) for side in sides]
    kept = sorted(range(len(sides)), key=lambda place: -moves[place])[:_MOST_SIDES]
    return [sides[place] for place in sorted(kept)]


def _few(side: Side) -> Side:
    """The column with fewer bends."""
    bends = side.bends[:_BENDS]
    return Side(side.name, side.inputs, side.tilts, bends, side.sizes[: len(side.tilts) + len(bends)])


def _strength(one: Tensor, two: Tensor, left: Tensor, weights: Tensor) -> float:
    """Of the functions ``[rows, functions]`` of two columns."""
    products = (one[:, :, None] * two[:, None, :]).flatten(1)
    products = products / products.square().sum(dim=0).sqrt().clamp(min=1e-300)
    weighted = products * weights[:, None]
    gram = weighted.T @ products
    gram.diagonal().add_(_RIDGE * gram.diagonal().mean())
    moment = weighted.T @ left
    factor, failed = torch.linalg.cholesky_ex(gram)
    if failed:
        return -float("inf")
    gain = torch.linalg.solve_triangular(factor, moment[:, None], upper=False).square().sum()
    return float(gain) - _PRICE * products.shape[1]
