"""Pictures of effects: one small picture a column, all with the same vertical axis."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.data.encoding import Numbers
from training.report.effects.computed import DrawnEffect
from training.report.effects.small_pictures import small_pictures

_LINES, _ACROSS = 15, 3
# How far single rows widen the vertical axis, in ranges of the mean curves: far ones would flatten the means.
_WIDER = 0.6
# Lines that move this many times as far as the means, up in some rows and down in others, are what the picture is for.
_CROSSING = 2.0
_NAME_LENGTH, _WORD_LENGTH = 34, 12
# Six names of this length fit side by side.
LEGEND_LENGTH = 14
_COLOUR, _LINE_COLOUR, _ROWS_COLOUR = "#1f4e79", "0.72", "#e8d9b5"


def draw_effects(
    drawn: Sequence[DrawnEffect], names: Sequence[str], outputs: Sequence[int], across: int = _ACROSS
) -> Figure:
    """One small picture a column, all with the same vertical axis.

    Args:
        drawn: The effects.
        names: Names of all outputs.
        outputs: The outputs that are drawn; of one its single rows too.
        across: Pictures side by side.
    """
    of_one = f"probability of {names[outputs[0]]}" if len(outputs) == 1 and len(names) > 1 else names[outputs[0]]
    figure, pictures = small_pictures(
        [_title(one) for one in drawn],
        across,
        _limits(drawn, outputs),
        "probability" if len(outputs) > 1 else shorten(of_one, 28),
        [without_middle(names[place], LEGEND_LENGTH) for place in outputs] if len(outputs) > 1 else (),
    )
    for axes, one in zip(pictures, drawn, strict=True):
        _draw_rows(axes, one)
        (_draw_words if one.words else _draw_curves)(axes, one, outputs)
    return figure


def _title(one: DrawnEffect) -> str:
    """The name of the column, and how many of its words are drawn if not all are."""
    shown, words = len(one.words), len(one.column.words)
    drawn = f": {shown} of {words:,} words" if shown < words else ""
    return shorten(one.column.name, _NAME_LENGTH - len(drawn)) + drawn


def _limits(drawn: Sequence[DrawnEffect], outputs: Sequence[int]) -> tuple[float, float]:
    means = np.concatenate([one.effect.mean[:, list(outputs)].ravel() for one in drawn])
    means = means[np.isfinite(means)]
    low, high = float(means.min()), float(means.max())
    if len(outputs) == 1:
        single = np.concatenate([_lines(one, outputs[0]).ravel() for one in drawn])
        single = single[np.isfinite(single)]
        crossing = any(_swing(one, outputs[0]) > _CROSSING * (high - low) for one in drawn)
        wider = math.inf if crossing else _WIDER * (high - low)
        if len(single):
            low, high = max(low - wider, min(low, single.min())), min(high + wider, max(high, single.max()))
    return low, max(high, low + max(1e-6 * abs(low), 1e-30))


def _lines(one: DrawnEffect, output: int) -> Numbers:
    """The answers of the single rows that are drawn, ``[lines, points]``."""
    single = one.effect.single
    return single[np.unique(np.linspace(0, len(single) - 1, _LINES).astype(int)), :, output]


def _swing(one: DrawnEffect, output: int) -> float:
    """How far the line of a usual row moves: the median of the rows' ranges."""
    lines = _lines(one, output)
    ranges = np.ptp(lines[np.isfinite(lines).all(axis=1)], axis=1)
    return float(np.median(ranges)) if len(ranges) else 0.0


def _draw_rows(axes: Axes, one: DrawnEffect) -> None:
    """Where the training rows are, on the lowest sixth of the picture."""
    counts = one.effect.counts
    if not counts.any():
        return
    heights, place = counts / counts.max() / 6, axes.get_xaxis_transform()
    if one.words:
        axes.bar(np.arange(len(counts)), heights, 0.8, color=_ROWS_COLOUR, transform=place, zorder=0)
    else:
        axes.stairs(heights, one.effect.edges, fill=True, color=_ROWS_COLOUR, transform=place, zorder=0)


def _draw_curves(axes: Axes, one: DrawnEffect, outputs: Sequence[int]) -> None:
    x, mark = one.effect.values[:, 0], "o" if len(one.effect.values) == 1 else None
    if len(outputs) == 1:
        lines = _lines(one, outputs[0])
        # One line with gaps instead of 15 lines: drawing takes a third of the time.
        gap = np.full((len(lines), 1), np.nan)
        y = np.hstack([lines, gap]).ravel()
        axes.plot(np.tile(np.append(x, np.nan), len(lines)), y, color=_LINE_COLOUR, linewidth=0.5, zorder=1)
        axes.plot(x, one.effect.mean[:, outputs[0]], marker=mark, color=_COLOUR, linewidth=2, zorder=2)
        return
    for number, place in enumerate(outputs):
        axes.plot(x, one.effect.mean[:, place], marker=mark, color=f"C{number}", linewidth=1.5)


def _draw_words(axes: Axes, one: DrawnEffect, outputs: Sequence[int]) -> None:
    places, width = np.arange(len(one.words)), 0.7 / len(outputs)
    weights = np.maximum(one.effect.counts, 1e-9)
    for number, output in enumerate(outputs):
        means = one.effect.mean[:, output]
        finite = np.isfinite(means)
        middle = float(np.average(means[finite], weights=weights[finite])) if finite.any() else 0.0
        lefts = places - 0.35 + width * number
        colour = _COLOUR if len(outputs) == 1 else f"C{number}"
        axes.bar(lefts, means - middle, width, bottom=middle, align="edge", color=colour, zorder=2)
        axes.plot(places[[0, -1]] + [-0.45, 0.45], [middle, middle], color=colour, linewidth=0.6, zorder=1)
    names = [without_middle(word, _WORD_LENGTH) for word in one.words]
    crowded = sum(map(len, names)) > 24
    axes.set_xticks(places, names, rotation=45 if crowded else 0, ha="right" if crowded else "center", parse_math=False)


def shorten(text: str, length: int) -> str:
    """The text on one line, with its end left out where it is longer."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def without_middle(text: str, length: int) -> str:
    """Words that begin alike, such as "neighbourhood 12", differ at the end."""
    text = " ".join(text.split())
    head, tail = length // 2, length - length // 2 - 1
    return text if len(text) <= length else f"{text[:head]}…{text[-tail:]}"
