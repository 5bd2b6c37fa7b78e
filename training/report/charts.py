"""Pictures of a training run: the loss by grids, and the answers to held-out rows against the truth.

The figures are matplotlib's, made without pyplot, so no global state changes.
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.fitting.record import Record

Values = NDArray[np.float64]

_TRAIN_COLOUR, _VALIDATION_COLOUR = "0.55", "#1f4e79"
# The names and counts of more classes are too small to read.
_MOST_CLASSES = 20
_MOST_POINTS = 5000


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
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
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
    size = 2.2 + 0.42 * len(shown)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    part = counts[np.ix_(shown, shown)]
    axes.imshow(part, cmap="Blues", vmin=0, vmax=max(1, int(part.max())))
    for row, column in zip(*part.nonzero(), strict=True):
        colour = "white" if part[row, column] > part.max() / 2 else "black"
        axes.text(column, row, f"{part[row, column]:,}", ha="center", va="center", fontsize=8, color=colour)
    names = [classes[index] for index in shown]
    for axis, rotation in ((axes.xaxis, 45), (axes.yaxis, 0)):
        axis.set_ticks(range(len(shown)), names, rotation=rotation, parse_math=False)
    axes.set(xlabel="answered", ylabel="true")
    if hidden := len(classes) - len(shown):
        axes.set_title(f"the {len(shown)} classes with most mistakes; {hidden} more are not shown", fontsize=9)
    return figure


def residuals(name: str, truth: Values, answers: Values) -> Figure:
    """Answer − truth plotted against the truth, and a histogram of these differences.

    Args:
        name: Name of the target.
        truth: ``[rows]``, in the target's unit.
        answers: ``[rows]``, in the target's unit.

    Raises:
        ValueError: no rows, arrays of different lengths, or a number that is not finite.
    """
    _check_pair(truth, answers)
    if not (np.isfinite(truth).all() and np.isfinite(answers).all()):
        raise ValueError("truth or answers hold NaN or an infinity; wanted finite numbers")
    some = np.unique(np.linspace(0, len(truth) - 1, _MOST_POINTS).astype(int))
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    left.axhline(0, color="0.6", linewidth=0.8)
    left.plot(truth[some], (answers - truth)[some], ".", color=_VALIDATION_COLOUR, alpha=0.5, markersize=4)
    left.set_xlabel(f"true {name}", parse_math=False)
    left.set_ylabel("answer − truth")
    right.stairs(*np.histogram(answers - truth, bins=40), orientation="horizontal", fill=True, color="0.6")
    right.set_xlabel("rows")
    return figure


def _check_pair(truth: NDArray[np.generic], answers: NDArray[np.generic]) -> None:
    if truth.ndim != 1 or truth.shape != answers.shape or not len(truth):
        raise ValueError(f"truth has shape {truth.shape}, answers have {answers.shape}; wanted [1 or more] for both")
