"""How the answers change with each column: pictures of the effects, the most important column first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from kan_model import Effect, effect
from training.data.encoding import Numbers
from training.publishing.export import Trained
from training.publishing.manifest import output_names
from training.report.page import folded, image, paragraph
from training.report.shown_columns import ShownColumn

# Columns whose effect is drawn in the open, and all that are drawn; rows, points of a curve and lines of single rows.
_OPEN, _MOST, _ROWS, _POINTS, _LINES = 12, 18, 100, 25, 15
# How far single rows widen the vertical axis, in ranges of the mean curves: far ones would flatten the means.
_WIDER = 0.6
# More words, and more lines of classes, are too small to read.
_MOST_WORDS, _MOST_CLASSES, _MOST_TARGETS = 10, 6, 3
_ACROSS = 3
_NAME_LENGTH, _WORD_LENGTH = 34, 12
_COLOUR, _LINE_COLOUR, _ROWS_COLOUR = "#1f4e79", "0.72", "#e8d9b5"


@dataclass(frozen=True)
class DrawnEffect:
    """The effect of one column.

    Attributes:
        column: The column.
        effect: Its effect; of words with the number of training rows that hold each, as ``counts``.
        words: The words that are its points; () for numbers.
        strength: How much the answer to a row moves with the column: the standard deviation over the training rows'
            values of the column, averaged over rows and outputs.
    """

    column: ShownColumn
    effect: Effect
    words: tuple[str, ...] = ()
    strength: float = 0.0


def compute_effects(trained: Trained, raw: Numbers, columns: Sequence[ShownColumn]) -> list[DrawnEffect]:
    """The effects of the first 18 columns, the strongest first; none of columns without any finite answer.

    Attribution chooses the columns, and their effects order them: the 0/1 inputs of a column of words share what they
    tell, so the sum of their scores is too large.

    Args:
        trained: The network.
        raw: ``[rows, features]``, raw: 100 of them are what all other columns keep.
        columns: Most important first, by attribution.
    """
    found = [_compute(trained, raw, column) for column in columns[:_MOST]]
    found = [replace(one, strength=_strength(one)) for one in found if np.isfinite(one.effect.mean).any()]
    return sorted(found, key=lambda one: -one.strength)


def effects_section(manifest: ModelManifest, drawn: Sequence[DrawnEffect], columns: int) -> Iterator[str]:
    """Pictures of the effects, as HTML: those of 12 columns, and of up to 6 more in a fold.

    Args:
        manifest: Names the outputs.
        drawn: The effects, the strongest first.
        columns: Number of all columns.
    """
    if not drawn:
        return
    outputs = drawn[0].effect.mean.shape[1]
    names = output_names(manifest.classes, manifest.target, outputs, manifest.targets)
    yield paragraph(_caption(manifest, names))
    shown = _shown_outputs(manifest, len(names), drawn)
    yield image(draw_effects(drawn[:_OPEN], names, shown[0]), "effects of the columns")
    for other in shown[1:]:
        picture = image(draw_effects(drawn[:_OPEN], names, other), f"effects on {names[other[0]]}")
        yield folded(f"effects on {names[other[0]]}", picture)
    if rest := drawn[_OPEN:]:
        more = columns - len(drawn)
        title = f"{len(rest)} columns that matter less{f'; {more:,} more are not drawn' if more else ''}"
        yield folded(title, image(draw_effects(rest, names, shown[0]), "effects of further columns"))


def _strength(one: DrawnEffect) -> float:
    single = one.effect.single
    if one.words:
        weights = one.effect.counts.astype(np.float64)
    else:
        place = np.searchsorted(one.effect.edges[1:-1], one.effect.values[:, 0], side="right")
        weights = one.effect.counts[place].astype(np.float64)
    finite = np.isfinite(single).all(axis=(1, 2))
    if not finite.any() or not weights.any():
        return 0.0
    some = single[finite]
    mean = np.average(some, axis=1, weights=weights)[:, None]
    variance = np.average(np.square(some - mean), axis=1, weights=weights)
    return float(np.sqrt(variance).mean())


def _caption(manifest: ModelManifest, names: Sequence[str]) -> str:
    if manifest.task != TASK_CLASSIFICATION:
        what = "the answer"
    else:
        what = f"the probability of {names[1]}" if len(names) == 2 else "the probability of each class"
    lines = "" if len(names) > 2 and manifest.task == TASK_CLASSIFICATION else ", the thin ones single rows"
    which = "training rows" if manifest.data.train_rows else "the rows that were at hand"
    return (
        f"How {what} changes with each column while all others stay as they are, the column that matters most first. "
        f"The thick line is the mean over {which}{lines}. The bars below tell where these rows are; where "
        "there are none, nothing was learned. Bars of words begin at the mean answer."
    )


def _compute(trained: Trained, raw: Numbers, column: ShownColumn) -> DrawnEffect:
    rows = raw[np.unique(np.linspace(0, len(raw) - 1, _ROWS).astype(int))]
    respond = partial(effect, trained.kan, rows, column.places, inputs=trained.inputs, outputs=trained.outputs)
    if column.values is None:
        cells = raw[:, column.places[0]]
        known = np.unique(cells[np.isfinite(cells)])
        values = known if len(known) <= _POINTS else np.linspace(known[0], known[-1], _POINTS)
        found = respond(values=values[:, None], lines=_ROWS)
        if len(known) > 1:
            # The histogram is that of all rows, not of the few that were asked.
            counts, edges = np.histogram(cells[np.isfinite(cells)], bins=20)
            found = replace(found, counts=counts.astype(np.int64), edges=edges.astype(np.float64))
        return DrawnEffect(column, found)
    own = column.find_words(raw)
    counts = np.bincount(own[own >= 0], minlength=len(column.words))
    most = np.argsort(-counts, kind="stable")[:_MOST_WORDS]
    most = most[counts[most] > 0] if counts.any() else most
    found = respond(values=column.values[most], lines=_ROWS)
    words = tuple(column.words[place] or "(empty)" for place in most)
    return DrawnEffect(column, replace(found, counts=counts[most]), words)


def _shown_outputs(manifest: ModelManifest, outputs: int, drawn: Sequence[DrawnEffect]) -> list[tuple[int, ...]]:
    """The outputs of each picture: of two classes the second one, of more those that change most; each target alone."""
    if manifest.task != TASK_CLASSIFICATION:
        return [(place,) for place in range(min(outputs, _MOST_TARGETS))]
    if outputs == 2:
        return [(1,)]
    spread = sum(np.nan_to_num(np.ptp(one.effect.mean, axis=0)) for one in drawn)
    return [tuple(sorted(np.argsort(-spread, kind="stable")[:_MOST_CLASSES].tolist()))]


def draw_effects(drawn: Sequence[DrawnEffect], names: Sequence[str], outputs: Sequence[int]) -> Figure:
    """One small picture a column, all with the same vertical axis.

    Args:
        drawn: The effects.
        names: Names of all outputs.
        outputs: The outputs that are drawn; of one its single rows too.
    """
    down = -(-len(drawn) // _ACROSS)
    height = 0.6 + 2.2 * down
    figure = Figure(figsize=(9.6, height))
    grid = figure.subplots(down, _ACROSS, squeeze=False, sharey=True)
    # A layout of fixed places takes half the time of one that is computed from all texts.
    figure.subplots_adjust(0.08, 0.45 / height, 0.99, 1 - 0.5 / height, wspace=0.08, hspace=0.5)
    for axes in grid.flat[len(drawn) :]:
        axes.set_axis_off()
    low, high = _limits(drawn, outputs)
    for axes, one in zip(grid.flat, drawn, strict=False):
        # The lowest sixth is for the rows.
        axes.set_ylim(low - 0.22 * (high - low), high + 0.05 * (high - low))
        axes.set_yticks([tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high])
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_title(_short(one.column.name, _NAME_LENGTH), fontsize=9, parse_math=False)
        axes.tick_params(labelsize=7)
        _draw_rows(axes, one)
        (_draw_words if one.words else _draw_curves)(axes, one, outputs)
    for axes in grid[:, 0]:
        label = f"probability of {names[outputs[0]]}" if len(outputs) == 1 and len(names) > 1 else names[outputs[0]]
        axes.set_ylabel("probability" if len(outputs) > 1 else _short(label, 28), fontsize=8, parse_math=False)
    if len(outputs) > 1:
        handles = [Line2D([], [], color=f"C{number}") for number in range(len(outputs))]
        labels = [_short(names[place], 20) for place in outputs]
        figure.legend(handles, labels, loc="upper center", ncols=len(outputs), fontsize=8, frameon=False)
    return figure


def _limits(drawn: Sequence[DrawnEffect], outputs: Sequence[int]) -> tuple[float, float]:
    means = np.concatenate([one.effect.mean[:, list(outputs)].ravel() for one in drawn])
    means = means[np.isfinite(means)]
    low, high = float(means.min()), float(means.max())
    if len(outputs) == 1:
        single = np.concatenate([_lines(one, outputs[0]).ravel() for one in drawn])
        single = single[np.isfinite(single)]
        wider = _WIDER * (high - low)
        if len(single):
            low, high = max(low - wider, min(low, single.min())), min(high + wider, max(high, single.max()))
    return low, max(high, low + max(1e-6 * abs(low), 1e-30))


def _lines(one: DrawnEffect, output: int) -> Numbers:
    """The answers of the single rows that are drawn, ``[lines, points]``."""
    single = one.effect.single
    return single[np.unique(np.linspace(0, len(single) - 1, _LINES).astype(int)), :, output]


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
    names = [_short(word, _WORD_LENGTH) for word in one.words]
    crowded = sum(map(len, names)) > 24
    axes.set_xticks(places, names, rotation=45 if crowded else 0, ha="right" if crowded else "center", parse_math=False)


def _short(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"
