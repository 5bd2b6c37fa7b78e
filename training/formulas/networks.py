"""Networks of splines that are worth a search for functions: fitted from a few starts, with few edges."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from kan_model import KAN
from training.data.samples import Samples
from training.formulas.descent import error
from training.formulas.shapes import COARSE, Plan, Shape, count_edges, depends_on_start, drop_edges, fit_plan
from training.formulas.work import Work, WorkSpent

# Networks with a larger error than so many times the lowest, and than this share of the deviation, are worth no search.
# Their splines are coarse: even without noise that of 1/x is beside it.
_WORTH, _ALWAYS = 1.5, 0.02
# Random starts of each shape. If the first ones end far above the error of other shapes, more follow: a fit of
# 1/(1 + u·v) may end at 200 times the error of another start.
_STARTS, _MOST_STARTS = 2, 6
# A function mostly has three free constants.
_CONSTANTS_OF_A_FUNCTION = 3


@dataclass(frozen=True)
class Fitted:
    """A network of splines.

    Attributes:
        shape: Its width before edges were taken off.
        kan: The network.
        error: Its error on the validation rows.
        edges: How many it has.
    """

    shape: Shape
    kan: KAN
    error: float
    edges: int

    def criterion(self, rows: int) -> float:
        """Bayesian information criterion of a function on each spline; lower is searched first.

        Errors of coarse splines are equally small.
        """
        splines = sum(int((layer.edge_mask != 0).sum()) for layer in self.kan.layers)
        return 2 * rows * math.log(max(self.error, COARSE)) + _CONSTANTS_OF_A_FUNCTION * math.log(rows) * splines


def fit_plans(every: Sequence[Plan], train: Samples, validation: Samples, seed: int, work: Work) -> list[Fitted]:
    """The networks of the plans, without the edges that nothing misses.

    Args:
        every: The plans, the simplest first.
        train: Rows in units in which the targets have the deviation 1.
        validation: Rows that choose the best start, and say which edges may go.
        seed: Of the search.
        work: Counts each fit. Where it is spent, the networks so far are given.
    """
    found: dict[Plan, list[Fitted]] = {}

    def fit(plan: Plan, starts: range) -> None:
        every = [fit_plan(plan, train, validation, _MOST_STARTS * seed + start, work) for start in starts]
        if not (fitted := [kan for kan in every if kan is not None]):
            return
        # Also of a network that is worth no search: with fewer edges a fit that was stuck may go on.
        left = drop_edges(min(fitted, key=lambda kan: error(kan, validation)), train, validation, work)
        new = [Fitted(plan.shape, kan, error(kan, validation), count_edges(kan)) for kan in left]
        if plan not in found or _lowest(new) < _lowest(found[plan]):
            found[plan] = new

    with suppress(WorkSpent):
        for plan in every:
            fit(plan, range(_STARTS))
        for plan in filter(depends_on_start, every):
            for start in range(_STARTS, _MOST_STARTS):
                if plan in found and _lowest(found[plan]) <= worth_searching(min(map(_lowest, found.values()))):
                    break
                fit(plan, range(start, start + 1))
    return [each for fitted in found.values() for each in fitted]


def _lowest(networks: Sequence[Fitted]) -> float:
    return min(each.error for each in networks)


def worth_searching(lowest: float) -> float:
    """The largest error of a network that is worth a search, where the lowest error is known."""
    return max(_ALWAYS, _WORTH * lowest)
