"""Small pictures side by side, all with the same vertical axis."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

# Of a picture with its part of the margins, in inches.
_WIDTH = 3.2


def small_pictures(
    titles: Sequence[str], across: int, limits: tuple[float, float], label: str, legend: Sequence[str] = ()
) -> tuple[Figure, list[Axes]]:
    """A figure, and the axes of each picture, in which nothing is drawn yet.

    Args:
        titles: Of the pictures.
        across: Pictures side by side.
        limits: The lowest and the highest value; below them a sixth is left for the rows.
        label: Of the vertical axis.
        legend: Names of lines of the colours C0, C1 and so on; () for no legend.
    """
    down = -(-len(titles) // across)
    height = 0.9 + 2.3 * down
    figure = Figure(figsize=(_WIDTH * across, height))
    # A layout of fixed places takes half the time of one that is computed from all texts.
    places = {"left": 0.24 / across, "bottom": 0.75 / height, "right": 0.99, "top": 1 - 0.5 / height}
    grid = figure.add_gridspec(down, across, **places, wspace=0.08, hspace=0.65)
    low, high = limits
    ticks = [tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
    pictures: list[Axes] = []
    for place, title in enumerate(titles):
        # Axes that share their limits take longer: each of them tells all others of a change.
        axes = figure.add_subplot(grid[place])
        axes.set_ylim(low - 0.22 * (high - low), high + 0.05 * (high - low))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_title(title, fontsize=9, parse_math=False)
        axes.tick_params(labelsize=7)
        if place % across:
            axes.yaxis.set_visible(False)  # The first column's is for all.
        else:
            axes.set_yticks(ticks)
            axes.set_ylabel(label, fontsize=8, parse_math=False)
        pictures.append(axes)
    if legend:
        handles = [Line2D([], [], color=f"C{place}") for place in range(len(legend))]
        figure.legend(handles, legend, loc="upper center", ncols=len(legend), fontsize=8, frameon=False)
    return figure, pictures
