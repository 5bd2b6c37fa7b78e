"""The networks of splines of a search: of each shape one, with as few edges and curves as the validation rows allow."""

from collections.abc import Sequence
from dataclasses import dataclass

from kan_model import KAN
from training.data.samples import Samples
from training.formulas.descent import error
from training.formulas.shapes import Shape, count_edges, count_splines, fit_shape, simplify_shape
from training.formulas.work import Work

# Networks with a larger error than so many times the lowest, and than this share of the deviation, are worth no search.
# Their splines are coarse: even without noise that of 1/x is beside it.
_WORTH, _WORTH_ALWAYS = 1.5, 0.02
# Without idle edges a network may fit better: so much larger an error is worth the try.
_WORTH_SIMPLER = 3.0
# Share of the budget.
_FOR_SHAPES = 0.4


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

    @classmethod
    def of(cls, shape: Shape, kan: KAN, validation: Samples) -> "Fitted":
        """A network with its error and its edges."""
        return cls(shape, kan, error(kan, validation), count_edges(kan))

    @property
    def price(self) -> int:
        """About the constants of its functions: three of one in the place of a spline, one of a straight line."""
        return self.edges + 2 * count_splines(self.kan)


def fit_networks(
    every: Sequence[Shape], train: Samples, validation: Samples, seed: int, work: Work
) -> Sequence[Fitted]:
    """A network of each shape whose fit succeeds within the share of the budget.

    Args:
        every: The shapes.
        train: Rows in units in which the targets have the deviation 1.
        validation: Rows that choose.
        seed: Of the starts.
        work: Counts each fit.
    """
    fitted = list[Fitted]()
    with work.up_to(_FOR_SHAPES):
        for shape in every:
            if (kan := fit_shape(shape, train, validation, seed, work)) is not None:
                fitted.append(Fitted.of(shape, kan, validation))
        lowest = min((each.error for each in fitted), default=0.0)
        for place, each in enumerate(fitted):
            if each.error <= _WORTH_SIMPLER * worth(lowest):
                fitted[place] = Fitted.of(each.shape, simplify_shape(each.kan, train, validation, work), validation)
    return fitted


def worth(lowest: float) -> float:
    """The largest error of a network that is worth a search, where the lowest error is known."""
    return max(_WORTH_ALWAYS, _WORTH * lowest)
