"""Which pairs of columns there are: those whose products explain more of what the curves leave than noise would."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import torch
from torch import Tensor

from training.additive.pairs.products import ProductSums, sum_products
from training.additive.rows import TermRows
from training.additive.solution import Problem, Solution
from training.additive.terms import Side

# Rows that are looked at, and columns: those whose own terms move the answers most.
_MOST_ROWS, _MOST_SIDES = 10_000, 100
# Bends of a column that tell of a pair; pairs that 1 or 5 chose were 1 % worse on concrete and auto.
_BENDS = 3
# Relative to the sum of squares of a product.
_RIDGE = 0.01


@dataclass(frozen=True)
class Evidence:
    """How much more than noise pairs explain, by all rows and without each fold.

    Attributes:
        pairs: The pairs that were tried.
        whole: ``[pairs]``, by all rows.
        without: ``[folds, pairs]``, by all rows but those of a fold.
    """

    pairs: tuple[tuple[Side, Side], ...]
    whole: Tensor
    without: Tensor

    def strongest(self, count: int, fold: int | None = None) -> list[tuple[Side, Side]]:
        """At most `count` pairs that are stronger than noise, the strongest one first; without the rows of a fold."""
        found = self.whole if fold is None else self.without[fold]
        best = torch.argsort(-found, stable=True)[:count].tolist()
        return [self.pairs[place] for place in best if found[place] > 0]

    def fitting(self, count: int, room: int, fold: int | None = None) -> list[tuple[Side, Side]]:
        """The strongest pairs whose products are at most `room` together; one too wide leaves room for weaker ones."""
        found = []
        for one, two in self.strongest(count, fold):
            width = len(one.functions) * len(two.functions)
            if width <= room:
                found.append((one, two))
                room -= width
        return found


def weigh_pairs(solution: Solution, problem: Problem, sides: Sequence[Side]) -> Evidence:
    """The evidence for all pairs of two columns; two numbers of one date are no pair.

    The evidence is what the products of a pair explain of the residuals by least squares, in variances of the noise,
    less the quantile 1 − 1/pairs of what noise would. So about one pair of noise is above 0, however many columns,
    products and outputs there are. Several outputs have the same pairs.

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
    found, likeness = torch.empty(1 + problem.count_folds, len(pairs), dtype=torch.float64), _likeness(left)
    for sums in sum_products(values, pairs, left, sizes):
        gains, degrees = _gains(sums)
        found[:, sums.place] = gains - likeness * _most_of_noise(degrees / likeness, len(pairs))
    return Evidence(tuple((candidates[one], candidates[two]) for one, two in pairs), found[0], found[1:])


def _most_of_noise(degrees: Tensor, pairs: int) -> Tensor:
    """The quantile 1 − 1/pairs of χ² with these degrees of freedom, by Wilson and Hilferty."""
    quantile = NormalDist().inv_cdf(1 - 1 / max(pairs, 10))
    spread = 2 / (9 * degrees.clamp(min=1.0))
    return degrees * (1 - spread + quantile * spread.sqrt()) ** 3


def _likeness(left: Sequence[tuple[Tensor, Tensor]]) -> float:
    """1 for outputs whose residuals have nothing to do with each other, their number if these are the same.

    With the correlations R of the residuals the gains of noise, added by output, have the mean and the variance of
    this number times χ² whose degrees of freedom are divided by it: tr(R²) / outputs (Satterthwaite).
    """
    residuals = torch.stack([weights.sqrt() * each for each, weights in left])
    residuals = residuals / residuals.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-300)
    return max(float((residuals @ residuals.T).square().sum()) / len(left), 1.0)


def _residuals(
    solution: Solution, rows: TermRows, targets: Tensor, weights: Tensor | None, problem: Problem
) -> list[tuple[Tensor, Tensor]]:
    """For each output what is left of its working targets, in standard deviations of the noise, and the weights."""
    scores = rows.answers(solution.curves.coefficients)
    found = []
    for output in range(targets.shape[1]):
        working, factors = problem.family.working(scores, targets, output)
        own = torch.ones_like(factors) if weights is None else weights
        counted, left = factors * own, working - scores[:, output]
        # Relative to the effective number of rows, as the sums over the products are.
        noise = 1.0 if problem.family.score == "ubre" else float((counted * left.square()).sum() / own.sum())
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


def _gains(sums: ProductSums) -> tuple[Tensor, Tensor]:
    """``[1 + folds]`` each: what the products of a pair explain by all rows and without each fold, and of noise.

    Both are added by output. Words and columns of few values have fewer degrees of freedom than products: what they
    explain of noise on average is the trace of G·(G + ridge)⁻¹.
    """
    grams, moments = _all_and_without(sums.grams), _all_and_without(sums.moments)
    one = torch.eye(grams.shape[-1], dtype=torch.float64)
    ridge = _RIDGE * grams.diagonal(dim1=2, dim2=3).mean(dim=2)
    factors, failed = torch.linalg.cholesky_ex(grams + ridge[..., None, None] * one)
    inverses = torch.linalg.solve_triangular(factors, one.expand_as(grams), upper=False)
    explained = (inverses @ moments[..., None]).square().sum(dim=(2, 3))
    degrees = len(one) - ridge * inverses.square().sum(dim=(2, 3))
    gains = torch.where(failed == 0, explained, -torch.inf)
    return gains.sum(dim=0), torch.where(failed == 0, degrees, 1.0).sum(dim=0)


def _all_and_without(folds: Tensor) -> Tensor:
    """Sums over all folds, and over all but each: ``[outputs, 1 + folds, …]`` of ``[outputs, folds, …]``."""
    whole = folds.sum(dim=1, keepdim=True)
    return torch.cat([whole, whole - folds], dim=1)
