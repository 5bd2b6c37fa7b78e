"""Pictures of the curves of an additive model: one small picture a column, all with the same vertical axis."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.data.encoding import Numbers
from training.data.split import RowNumbers
from training.report.effects.drawn import LEGEND_LENGTH, shorten, without_middle
from training.report.effects.small_pictures import small_pictures

_ACROSS = 3
_NAME_LENGTH, _WORD_LENGTH = 34, 12
_COLOUR, _ROWS_COLOUR, _BAND = "#1f4e79", "#e8d9b5", 0.2
_ERRORS = 2.0


@dataclass(frozen=True)
class ColumnCurve:
    """What one column adds to the answer.

    Attributes:
        name: Of the column.
        points: ``[points]``, its values in raw units; of words their places.
        values: ``[points, outputs]``, what each adds.
        spread: The standard deviation of what it adds over training rows.
        counts: Training rows in each bin of the histogram, or with each word.
        edges: ``[bins + 1]``, the ends of the bins; empty for words.
        errors: ``[points, outputs]``, standard errors; None: not known.
        missing: ``[outputs]``, what a missing cell adds; None: no cell may be missing.
        words: The words that are its points; () for numbers.
    """

    name: str
    points: Numbers
    values: Numbers
    spread: float
    counts: RowNumbers
    edges: Numbers = field(default_factory=lambda: np.empty(0))
    errors: Numbers | None = None
    missing: Numbers | None = None
    words: tuple[str, ...] = ()


def draw_curves(curves: Sequence[ColumnCurve], names: Sequence[str], outputs: Sequence[int]) -> Figure:
    """One small picture a column.

    Args:
        curves: The curves.
        names: Names of all outputs.
        outputs: The outputs that are drawn.
    """
    figure, pictures = small_pictures(
        [shorten(curve.name, _NAME_LENGTH) for curve in curves],
        min(_ACROSS, max(1, len(curves))),
        _limits(curves, outputs),
        shorten(f"added to {names[outputs[0]]}", 28) if len(outputs) == 1 else "added to the score",
        [without_middle(names[output], LEGEND_LENGTH) for output in outputs] if len(outputs) > 1 else (),
    )
    for axes, curve in zip(pictures, curves, strict=True):
        axes.axhline(0.0, color="0.8", linewidth=0.6, zorder=0)
        (_draw_words if curve.words else _draw_numbers)(axes, curve, outputs)
    return figure


def _limits(curves: Sequence[ColumnCurve], outputs: Sequence[int]) -> tuple[float, float]:
    values = np.concatenate([curve.values[:, list(outputs)].ravel() for curve in curves] + [np.zeros(1)])
    low, high = float(values.min()), float(values.max())
    return low, max(high, low + 1e-9)


def _draw_numbers(axes: Axes, curve: ColumnCurve, outputs: Sequence[int]) -> None:
    if len(curve.edges) == len(curve.counts) + 1:
        heights = curve.counts / max(1, curve.counts.max()) / 6
        axes.stairs(heights, curve.edges, fill=True, color=_ROWS_COLOUR, transform=axes.get_xaxis_transform(), zorder=0)
    for place, output in enumerate(outputs):
        colour = _COLOUR if len(outputs) == 1 else f"C{place}"
        values = curve.values[:, output]
        if curve.errors is not None:
            half = _ERRORS * curve.errors[:, output]
            axes.fill_between(
                curve.points, values - half, values + half, color=colour, alpha=_BAND, linewidth=0, zorder=1
            )
        axes.plot(curve.points, values, color=colour, linewidth=1.5, zorder=2)
        if curve.missing is not None:
            # Right of all values: what a row without a value gets.
            axes.plot(
                1.0, curve.missing[output], ">", color=colour, transform=axes.get_yaxis_transform(), clip_on=False
            )
    if curve.missing is not None:
        axes.set_xlabel("▸: a missing cell", fontsize=7, loc="right", labelpad=1)


def _draw_words(axes: Axes, curve: ColumnCurve, outputs: Sequence[int]) -> None:
    places, width = np.arange(len(curve.words)), 0.7 / len(outputs)
    heights = curve.counts / max(1, curve.counts.max()) / 6
    axes.bar(places, heights, 0.8, color=_ROWS_COLOUR, transform=axes.get_xaxis_transform(), zorder=0)
    for place, output in enumerate(outputs):
        colour = _COLOUR if len(outputs) == 1 else f"C{place}"
        axes.bar(places - 0.35 + width * place, curve.values[:, output], width, align="edge", color=colour, zorder=2)
    names = [without_middle(word, _WORD_LENGTH) for word in curve.words]
    crowded = sum(map(len, names)) > 24
    axes.set_xticks(places, names, rotation=45 if crowded else 0, ha="right" if crowded else "center", parse_math=False)
