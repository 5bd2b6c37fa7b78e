"""Which pairs of columns there are: those whose products explain more of what the curves leave than noise would."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import torch
from torch import Tensor

from training.additive.rows import TermRows
from training.additive.solution import Problem, Solution
from training.additive.terms import Side

# Rows that are looked at, and columns: those whose own terms move the answers most.
_MOST_ROWS, _MOST_SIDES = 10_000, 100
# So many bends of a column tell of a pair; pairs that 1 or 5 chose were 1 % worse on concrete and auto.
_BENDS = 3
# Relative to the sum of squares of a product.
_RIDGE = 0.01


@dataclass(frozen=True)
class Strengths:
    """How strong pairs are, by all rows and without each fold.

    Attributes:
        pairs: The pairs that were tried.
        whole: ``[pairs]``, by all rows.
        without: ``[folds, pairs]``, by all rows but those of a fold.
    """

    pairs: tuple[tuple[Side, Side], ...]
    whole: Tensor
    without: Tensor

    def strongest(self, count: int, fold: int | None = None) -> list[tuple[Side, Side]]:
        """At most so many pairs that are stronger than noise, the strongest one first; without the rows of a fold."""
        strengths = self.whole if fold is None else self.without[fold]
        best = torch.argsort(-strengths, stable=True)[:count].tolist()
        return [self.pairs[place] for place in best if strengths[place] > 0]


def pair_strengths(solution: Solution, problem: Problem, sides: Sequence[Side]) -> Strengths:
    """The strengths of all pairs of two columns; two numbers of one date are none.

    The strength of a pair is what its products explain of the residuals by least squares, in variances of the noise,
    less the most that one of this many pairs would explain if there was nothing but noise. So it is positive for about
    one pair of noise, however many columns and products there are. The pairs of several outputs are the same.

    Args:
        solution: The curves, without pairs.
        problem: What they are fitted to.
        sides: The columns.

    Source: Lou et al., Accurate intelligible models with pairwise interactions (2013), section 4.
    """
    every = max(1, -(-len(solution.rows) // _MOST_ROWS))
    some = torch.arange(0, len(solution.rows), every)
    some = some[torch.argsort(problem.folds[some], stable=True)]
    sizes = torch.bincount(problem.folds[some], minlength=problem.count_folds).tolist()
    rows = solution.rows.take(some)
    left = _residuals(solution, rows, *problem.part(some), problem)
    candidates = _most_moving(solution, rows, sides)
    values = [rows.functions(_few(side)) for side in candidates]
    pairs = [
        (one, two)
        for one, two in itertools.combinations(range(len(candidates)), 2)
        if candidates[one].column != candidates[two].column
    ]
    found = torch.empty(1 + problem.count_folds, len(pairs), dtype=torch.float64)
    for place, (one, two) in enumerate(pairs):
        products = (values[one][:, :, None] * values[two][:, None, :]).flatten(1)
        price = _most_of_noise(products.shape[1] * len(left), len(pairs))
        found[:, place] = _gains(products, left, sizes) - price
    return Strengths(tuple((candidates[one], candidates[two]) for one, two in pairs), found[0], found[1:])


def _most_of_noise(products: int, pairs: int) -> float:
    """What one of so many pairs exceeds if all are noise: the quantile 1 − 1/pairs of χ², by Wilson and Hilferty."""
    quantile = NormalDist().inv_cdf(1 - 1 / max(pairs, 10))
    spread = 2 / (9 * products)
    return float(products * (1 - spread + quantile * spread**0.5) ** 3)


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
    return replace(side, bends=bends, sizes=side.sizes[: len(side.tilts) + len(bends)])


def _gains(products: Tensor, left: Sequence[tuple[Tensor, Tensor]], sizes: list[int]) -> Tensor:
    """``[1 + folds]``: what products ``[rows, products]`` explain by all rows, and without each fold; added by output.

    Rows of a fold are neighbours.
    """
    products = products / products.square().sum(dim=0).sqrt().clamp(min=1e-300)
    parts, result = _split(products, sizes), torch.zeros(1 + len(sizes), dtype=torch.float64)
    for residuals, weights in left:
        weighted = _split(products * weights[:, None], sizes)
        grams = torch.stack([one.T @ two for one, two in zip(weighted, parts, strict=True)])
        moments = torch.stack([one.T @ two for one, two in zip(weighted, _split(residuals, sizes), strict=True)])
        grams = torch.cat([grams.sum(dim=0, keepdim=True), grams.sum(dim=0) - grams])
        moments = torch.cat([moments.sum(dim=0, keepdim=True), moments.sum(dim=0) - moments])
        diagonals = grams.diagonal(dim1=1, dim2=2)
        diagonals.add_(_RIDGE * diagonals.mean(dim=1, keepdim=True))
        factors, failed = torch.linalg.cholesky_ex(grams)
        solved = torch.linalg.solve_triangular(factors, moments[:, :, None], upper=False)
        result += torch.where(failed == 0, solved.square().sum(dim=(1, 2)), -torch.inf)
    return result


def _split(rows: Tensor, sizes: list[int]) -> tuple[Tensor, ...]:
    """Stretches of so many rows."""
    return torch.split(rows, sizes)  # type: ignore[no-untyped-call, no-any-return, unused-ignore]
