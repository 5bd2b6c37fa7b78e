"""Two pictures: the loss against parameters, and against seconds."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.paper.experiment import Outcome

BY_PARAMETERS, BY_SECONDS = "language-parameters.svg", "language-seconds.svg"
# For each size, each contender's outcomes.
Sizes = Sequence[Mapping[str, Sequence[Outcome]]]
_COLOURS = ("#0072b2", "#d55e00", "#009e73")
_LINES = ("-", "--", ":")


def draw(sizes: Sizes, contenders: Sequence[str], folder: Path) -> None:
    """Write both pictures as SVG."""
    # The same file for the same outcomes; letters stay letters.
    with mpl.rc_context({"svg.hashsalt": "kan", "svg.fonttype": "none"}):
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.add_subplot()
        for contender, colour in zip(contenders, _COLOURS, strict=True):
            _draw_parameters(axes, [size[contender] for size in sizes], contender, colour)
        axes.set(xscale="log", xlabel="parameters of the whole model", ylabel="test loss, nats a character")
        axes.legend()
        figure.savefig(folder / BY_PARAMETERS, metadata={"Date": None})
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.add_subplot()
        for size, line in zip(sizes, _LINES, strict=False):
            for contender, colour in zip(contenders, _COLOURS, strict=True):
                first = size[contender][0]
                axes.plot(*_way(first), line, color=colour, label=f"{contender}, {first.run.case}")
        axes.set(xlabel="CPU seconds of training, seed 0", ylabel="validation loss, nats a character")
        axes.legend(fontsize="x-small")
        figure.savefig(folder / BY_SECONDS, metadata={"Date": None})


def _draw_parameters(axes: Axes, sizes: Sequence[Sequence[Outcome]], label: str, colour: str) -> None:
    """The medians as a line, and every run as a point."""
    points = [[(_number(each, "parameters"), _number(each, "nats")) for each in found] for found in sizes]
    medians = [statistics.median(nats for _, nats in found) for found in points]
    axes.plot([found[0][0] for found in points], medians, color=colour, label=label)
    axes.plot(*zip(*(point for found in points for point in found), strict=True), "o", color=colour, markersize=4)


def _way(outcome: Outcome) -> tuple[list[float], list[float]]:
    seconds, nats = (outcome.numbers[name] for name in ("way_seconds", "way_nats"))
    assert isinstance(seconds, list)
    assert isinstance(nats, list)
    return seconds, nats


def _number(outcome: Outcome, name: str) -> float:
    value = outcome.numbers[name]
    assert isinstance(value, int | float)
    return value
