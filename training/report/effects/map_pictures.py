"""Pictures of the pairs of an additive model: one small map a pair."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from training.data.encoding import Numbers
from training.report.effects.drawn import shorten, without_middle

_ACROSS = 3
_NAME_LENGTH, _WORD_LENGTH = 28, 10
# Of a map with its part of the margins, in inches.
_WIDTH, _HEIGHT = 3.2, 2.9
_COLOURS, _DOT = "RdBu_r", "#333333"


@dataclass(frozen=True)
class Axis:
    """The values of one column.

    Attributes:
        name: Of the column.
        values: ``[points, features]``, in raw units.
        words: The words that are its points; () for numbers.
    """

    name: str
    values: Numbers
    words: tuple[str, ...] = ()

    @property
    def places(self) -> Numbers:
        """``[points]``: numbers as they are, words in their order."""
        return np.arange(len(self.words), dtype=np.float64) if self.words else self.values[:, 0]


@dataclass(frozen=True)
class PairMap:
    """What two columns add together.

    Attributes:
        first: The column from left to right.
        second: The column from below.
        values: ``[points of first, points of second, outputs]``.
        spread: The standard deviation of what they add over training rows.
        dots: ``[rows, 2]``, training rows; None where a column has words.
    """

    first: Axis
    second: Axis
    values: Numbers
    spread: float
    dots: Numbers | None = None


def draw_maps(maps: Sequence[PairMap], name: str, output: int, most: float) -> Figure:
    """One small map a pair.

    Args:
        maps: The maps.
        name: Of the output.
        output: The output that is drawn.
        most: The value of the deepest colour; of several pictures the same, so that their maps compare.
    """
    across = min(_ACROSS, len(maps))
    down = -(-len(maps) // across)
    figure = Figure(figsize=(_WIDTH * across + 0.9, _HEIGHT * down))
    grid = figure.subplots(down, across, squeeze=False)
    width, height = _WIDTH * across + 0.9, _HEIGHT * down
    figure.subplots_adjust(0.75 / width, 0.7 / height, 1 - 1.05 / width, 1 - 0.35 / height, wspace=0.45, hspace=0.65)
    scale = Normalize(-most, most)
    for axes in grid.flat[len(maps) :]:
        axes.set_axis_off()
    for axes, each in zip(grid.flat, maps, strict=False):
        _draw(axes, each, output, scale)
    bar = figure.add_axes((1 - 0.85 / width, 0.7 / height, 0.14 / width, 1 - 1.05 / height))
    figure.colorbar(ScalarMappable(scale, _COLOURS), cax=bar).ax.tick_params(labelsize=7)
    bar.set_title(shorten(f"added to {name}", 16), fontsize=7, parse_math=False)
    return figure


def _draw(axes: Axes, each: PairMap, output: int, scale: Normalize) -> None:
    ends = [_ends(axis.places) for axis in (each.first, each.second)]
    axes.pcolormesh(*ends, each.values[..., output].T, cmap=_COLOURS, norm=scale)
    if each.dots is not None:
        axes.plot(*each.dots.T, ".", color=_DOT, markersize=1.2, alpha=0.5)
    axes.set_xlim(ends[0][0], ends[0][-1])
    axes.set_ylim(ends[1][0], ends[1][-1])
    axes.tick_params(labelsize=7)
    if each.first.words:
        names = [without_middle(word, _WORD_LENGTH) for word in each.first.words]
        axes.set_xticks(each.first.places, names, rotation=45, ha="right", parse_math=False)
    if each.second.words:
        names = [without_middle(word, _WORD_LENGTH) for word in each.second.words]
        axes.set_yticks(each.second.places, names, parse_math=False)
    axes.set_xlabel(shorten(each.first.name, _NAME_LENGTH), fontsize=8, labelpad=1, parse_math=False)
    axes.set_ylabel(shorten(each.second.name, _NAME_LENGTH), fontsize=8, labelpad=1, parse_math=False)


def _ends(places: Numbers) -> Numbers:
    """The ends of cells around places."""
    if len(places) == 1:
        return np.array([places[0] - 0.5, places[0] + 0.5])
    between = (places[1:] + places[:-1]) / 2
    return np.concatenate([[2 * places[0] - between[0]], between, [2 * places[-1] - between[-1]]])
