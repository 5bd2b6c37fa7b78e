"""Pictures of a training run: the loss by grids, and the answers to held-out rows against the truth.

The figures are matplotlib's, made without pyplot, so no global state changes.
"""

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kan_model.plot.axes import label_powers, set_margins, text_width
from kan_model.plot.names import short
from training.fitting.record import Record
from training.report.class_scores import Calibration

Values = NDArray[np.float64]

_TRAIN_COLOUR, _VALIDATION_COLOUR = "0.55", "#1f4e79"
# The names and counts of more classes are too small to read.
_MOST_CLASSES = 20
_MOST_POINTS = 5000
# Longer names would leave no room for what they name.
_NAME_LENGTH = 24


def staircase(history: Sequence[Record]) -> Figure:
    """Training and validation loss by evaluation, with a shade per grid. Finer grids make the loss fall like a stair.

    The mark "kept" is the best evaluation of the last fit, because pruning makes a new network and a new fit.

    Args:
        history: The records of :class:`training.fitting.fit.FitState`, in order.

    Raises:
        ValueError: there are no records.

    Source: arXiv 2404.19756, fig. 2.3.
    """
    if not history:
        raise ValueError("the history is empty; wanted one record or more")
    figure = Figure(figsize=(7.2, 4.2))
    axes = figure.subplots()
    set_margins(figure, 0.95, 0.5, 0.2, 0.3)
    numbers = np.arange(len(history))
    axes.plot(numbers, [record.train_loss for record in history], color=_TRAIN_COLOUR, label="training")
    axes.plot(numbers, [record.validation_loss for record in history], color=_VALIDATION_COLOUR, label="validation")
    again = _fit_starts(history)
    latest = again[-1] if again else 0
    best = latest + int(np.argmin([record.validation_loss for record in history[latest:]]))
    for number, begin in enumerate(again):
        axes.axvline(begin - 0.5, color="0.3", linestyle=":", label="pruned, fitted again" if number == 0 else None)
    axes.plot(best, history[best].validation_loss, "o", color=_VALIDATION_COLOUR, label="kept")
    begin = 0
    for place, (size, records) in enumerate(groupby(history, key=lambda record: record.grid_size)):
        end = begin + len(list(records))
        axes.axvspan(begin - 0.5, end - 0.5, color="0.95" if place % 2 else "1.0", zorder=0)
        axes.text((begin + end - 1) / 2, 1.01, f"G = {size}", ha="center", va="bottom", fontsize=8,
                  transform=axes.get_xaxis_transform())  # fmt: skip
        begin = end
    if min(min(record.train_loss, record.validation_loss) for record in history) > 0:
        axes.set_yscale("log")
        label_powers(axes.yaxis)
    axes.set(xlabel="evaluations on the validation rows", ylabel="loss", xlim=(-0.5, len(history) - 0.5))
    axes.legend(frameon=False)
    return figure


def _fit_starts(history: Sequence[Record]) -> list[int]:
    """Indices at which the fit of a new network begins, as after pruning: its first evaluation is before any step."""
    return [place for place, record in enumerate(history) if place > 0 and record.step == 0]


def confusion(classes: Sequence[str], truth: NDArray[np.int64], answers: NDArray[np.int64]) -> Figure:
    """The confusion matrix: counts of rows by true class (down) and answered class (across).

    Of more than 20 classes it shows those with the most mistakes.

    Args:
        classes: Names of the classes.
        truth: ``[rows]``, numbers of the true classes.
        answers: ``[rows]``, numbers of the answered classes.

    Raises:
        ValueError: no rows, arrays of different lengths, or a number that is no class.
    """
    _check_pair(truth, answers)
    if min(truth.min(), answers.min()) < 0 or max(truth.max(), answers.max()) >= len(classes):
        raise ValueError(
            f"classes are numbered up to {max(truth.max(), answers.max())}; wanted 0 to {len(classes) - 1}"
        )
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (truth, answers), 1)
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    shown = np.sort(np.argsort(-mistakes, kind="stable")[:_MOST_CLASSES])
    names = [short(classes[index], _NAME_LENGTH) for index in shown]
    hidden = len(classes) - len(shown)
    side, longest = 1.4 + 0.42 * len(shown), max(map(text_width, names))
    # The names below are aslant, each with its middle under its column.
    aslant = (longest + 0.15) / math.sqrt(2)
    left, below, above = 0.45 + longest, 0.45 + aslant, 0.3 if hidden else 0.08
    right = max(0.08, (aslant - side / len(shown)) / 2)
    figure = Figure(figsize=(left + side + right, below + side + above))
    axes = figure.subplots()
    set_margins(figure, left, below, right, above)
    part = counts[np.ix_(shown, shown)]
    axes.imshow(part, cmap="Blues", vmin=0, vmax=max(1, int(part.max())))
    for row, column in zip(*part.nonzero(), strict=True):
        colour = "white" if part[row, column] > part.max() / 2 else "black"
        axes.text(column, row, f"{part[row, column]:,}", ha="center", va="center", fontsize=8, color=colour)
    for axis, rotation in ((axes.xaxis, 45), (axes.yaxis, 0)):
        axis.set_ticks(range(len(shown)), names, rotation=rotation, parse_math=False)
    axes.set(xlabel="answered", ylabel="true")
    if hidden:
        axes.set_title(f"the {len(shown)} classes with most mistakes; {hidden} more are not shown", fontsize=9)
    return figure


def predicted_against_true(
    name: str, truth: Values, answers: Values, constant: float | None = None, *, is_log: bool = False
) -> Figure:
    """The answers plotted against the truth, and a histogram of their differences.

    Args:
        name: Name of the target.
        truth: ``[rows]``, in the target's unit.
        answers: ``[rows]``, in the target's unit.
        constant: The answer of the trivial baseline, drawn as a line; None: not known.
        is_log: Draw logarithmic axes, if all numbers are above 0.

    Raises:
        ValueError: no rows, arrays of different lengths, or a number that is not finite.
    """
    _check_pair(truth, answers)
    if not (np.isfinite(truth).all() and np.isfinite(answers).all()):
        raise ValueError("truth or answers hold NaN or an infinity; wanted finite numbers")
    some = np.unique(np.linspace(0, len(truth) - 1, _MOST_POINTS).astype(int))
    figure = Figure(figsize=(7.2, 3.6))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    set_margins(figure, 0.97, 0.5, 0.15, 0.22)
    figure.subplots_adjust(wspace=0.27)
    alpha = 0.5 if len(some) < 1000 else 0.25
    left.plot(truth[some], answers[some], ".", color=_VALIDATION_COLOUR, alpha=alpha, markersize=4)
    ends = [min(truth.min(), answers.min()), max(truth.max(), answers.max())]
    left.plot(ends, ends, color="0.3", linewidth=0.9, label="answer = truth")
    if constant is not None:
        left.axhline(constant, color="#b3261e", linestyle="--", linewidth=0.9, label="one number alone")
    left.set_xlabel(f"true {short(name, _NAME_LENGTH)}", parse_math=False)
    left.set_ylabel("answer")
    if is_log and ends[0] > 0:
        left.set(xscale="log", yscale="log")
        for axis in (left.xaxis, left.yaxis):
            label_powers(axis)
    left.legend(frameon=False, fontsize=8)
    unit = np.abs(truth) if is_log and ends[0] > 0 else 1.0
    off = (answers - truth) / unit
    # Few rows that are far off would leave the others one bar.
    wide = 1.5 * float(np.quantile(np.abs(off), 0.98)) or float(np.abs(off).max()) or 1.0
    bins = np.linspace(-wide, wide, 41)
    # One patch: a patch for each bar takes ten times as long.
    right.stairs(*np.histogram(np.clip(off, -wide, wide), bins=bins), fill=True, color="0.6")
    right.set_xlabel("answer / truth − 1" if is_log else "answer − truth")
    right.set_ylabel("rows; at the ends also those beyond", fontsize=8)
    return figure


def calibration_curve(found: Calibration, what: str, share: float | None, before: Calibration | None = None) -> Figure:
    """The share of rows where a probability came true, by the probability; the bars below are the rows of each bin.

    Args:
        found: The curve.
        what: What the probability is of.
        share: What always answering the class frequencies gives, a point on the diagonal; None: not drawn.
        before: The curve without the temperature; None: there is no temperature.
    """
    figure = Figure(figsize=(4.6, 4.2))
    # A layout of fixed places takes half the time of one that is computed from all texts.
    figure.subplots_adjust(0.2, 0.12, 0.98, 0.97, hspace=0.08)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    upper.plot([0, 1], [0, 1], color="0.6", linewidth=0.9, label="perfect")
    if before is not None:
        upper.plot(before.told, before.found, "x:", color="0.5", markersize=4, label="without the temperature")
    upper.plot(found.told, found.found, "o-", color=_VALIDATION_COLOUR, markersize=4, label="found")
    if share is not None:
        upper.plot(share, share, "s", color="#b3261e", label="the class frequencies alone")
    upper.set(ylabel="came true", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    upper.legend(frameon=False, fontsize=8)
    lower.bar(found.told, found.rows, 0.02, color="0.6")
    lower.set_ylabel("rows")
    lower.set_xlabel(what, parse_math=False)
    return figure


def coverage_curve(names: Sequence[str], levels: Values, found: Values) -> Figure:
    """The share of rows that lies between the bounds, by the share that was asked for; a line for each target.

    Args:
        names: Of the targets that are shown, the first ones.
        levels: ``[levels]``, the shares that were asked for.
        found: ``[levels, targets]``, the shares that were found.
    """
    figure = Figure(figsize=(4.6, 4.2))
    axes = figure.subplots()
    set_margins(figure, 0.65, 0.5, 0.1, 0.1)
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.9, label="as asked")
    for place, name in enumerate(names):
        colour = _VALIDATION_COLOUR if len(names) == 1 else None
        label = "found" if len(names) == 1 else short(name, _NAME_LENGTH).replace("$", r"\$")
        axes.plot(levels, found[:, place], "o-", color=colour, markersize=4, label=label)
    axes.set(xlabel="asked for", ylabel="found between the bounds", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(frameon=False, fontsize=8)
    return figure


def _check_pair(truth: NDArray[np.generic], answers: NDArray[np.generic]) -> None:
    if truth.ndim != 1 or truth.shape != answers.shape or not len(truth):
        raise ValueError(f"truth has shape {truth.shape}, answers have {answers.shape}; wanted [1 or more] for both")
