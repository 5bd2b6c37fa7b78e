"""Fits without a fold from sums over the rows of each fold, which are taken once for all of them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.additive.rows import TermRows
from training.additive.solution import Problem, Solution
from training.additive.terms import Pair, Side

# The sums are of all pairs that some fit has. With more than 1.8 times the coefficients of the largest fit they would
# cost about as much as the sums of four fifths of the rows for each fit. 2²⁶ numbers are 512 MiB.
_MOST_WIDER, _MOST_NUMBERS = 1.8, 2**26


@dataclass(frozen=True)
class Folds:
    """The pairs of fits without a fold, and XᵀWX of the rows of each fold.

    The weights W of Newton steps are those at the scores of the whole fit. They only steer the steps of a fit: its
    slopes are those of its own rows and scores.

    Attributes:
        pairs: For each fold the pairs of the fit without it.
        places: For each fold which coefficients of all pairs its fit has, the curves included.
        grams: For each output XᵀWX of the curves and all pairs, and that of the rows of each fold; (): not taken.
    """

    pairs: tuple[tuple[Pair, ...], ...]
    places: tuple[Tensor, ...]
    grams: tuple[tuple[Tensor, tuple[Tensor, ...]], ...]

    @classmethod
    def of(
        cls, rows: TermRows, whole: Solution, problem: Problem, choices: Sequence[Sequence[tuple[Side, Side]]]
    ) -> "Folds":
        """Measure the pairs and take the sums.

        Args:
            rows: All rows, seen by the curves alone.
            whole: The fit of all rows.
            problem: What is fitted.
            choices: For each fold the two columns of each pair.
        """
        known, places, first = dict[tuple[str, str], Pair](), dict[tuple[str, str], Tensor](), rows.coefficients
        names = [[(one.name, two.name) for one, two in some] for some in choices]
        for (one, two), name in zip(itertools.chain(*choices), itertools.chain(*names), strict=True):
            if name not in known:
                pair = known[name] = measure_pair(rows, one, two)
                places[name] = torch.arange(first, first + sum(pair.widths))
                first += sum(pair.widths)
        found = tuple(torch.cat([torch.arange(rows.coefficients), *(places[each] for each in some)]) for some in names)
        pairs = tuple(tuple(known[each] for each in some) for some in names)
        numbers = first**2 * len(choices) * problem.targets.shape[1]
        if first > _MOST_WIDER * max(len(each) for each in found) or numbers > _MOST_NUMBERS:
            return cls(pairs, found, ())
        everything = rows.with_pairs(rows.terms.with_pairs(tuple(known.values())))
        return cls(pairs, found, _grams(everything, whole.rows.answers(whole.curves.coefficients), problem))

    def gram(self, fold: int, output: int) -> Tensor | None:
        """XᵀWX of the rows of all other folds, for the terms of the fit without this fold; None: not taken."""
        if not self.grams:
            return None
        places, (whole, parts) = self.places[fold], self.grams[output]
        return (whole - parts[fold]).index_select(0, places).index_select(1, places)


def measure_pair(rows: TermRows, first: Side, second: Side) -> Pair:
    """Two columns as a term: the products of a penalty have a sum of squares over the rows of 1 on average."""
    plain, ones, twos = Pair(first, second, ()), list(first.functions), list(second.functions)
    squares = rows.functions(first).square().T @ rows.functions(second).square()
    factors = []
    for block in plain.blocks():
        mean = sum(float(squares[ones.index(one), twos.index(two)]) for one, two in block) / len(block)
        factors.append(mean**-0.5 if mean > 0 else 0.0)
    return Pair(first, second, tuple(factors))


def _grams(rows: TermRows, scores: Tensor, problem: Problem) -> tuple[tuple[Tensor, tuple[Tensor, ...]], ...]:
    """XᵀWX for each output, of all rows and of those of each fold."""
    found = list[tuple[Tensor, tuple[Tensor, ...]]]()
    for output in range(scores.shape[1]):
        if found and problem.family.is_quadratic:
            found.append(found[0])
            continue
        own = list[Tensor]()
        for fold in range(problem.count_folds):
            some = torch.nonzero(problem.folds == fold).flatten()
            targets, weights = problem.part(some)
            working, factors = problem.family.working(scores[some], targets, output)
            own.append(rows.take(some).sums(working[:, None], weights, factors)[0].gram)
        found.append((torch.stack(own).sum(dim=0), tuple(own)))
    return tuple(found)
