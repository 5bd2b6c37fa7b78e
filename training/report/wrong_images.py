"""The images of the test rows that were answered wrong, as one picture."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kan_model.plot.axes import set_margins
from kan_model.plot.names import short

_COLUMNS, _ROWS = 6, 2
MOST_SHOWN = _COLUMNS * _ROWS
# Letters of both names that fit over an image, and of each where both are long.
_BOTH, _EACH = 17, 8


def wrong_images(
    rows: NDArray[np.float64],
    shape: Sequence[int],
    classes: Sequence[str],
    truth: NDArray[np.int64],
    answers: NDArray[np.float64],
) -> Figure | None:
    """At most twelve images with their true and their answered class, the most certain mistake first.

    Args:
        rows: ``[images, pixels]``, all of a channel row by row, then the next channel. Three channels are shown as red,
            green and blue, of any other number the first one. An empty pixel is NaN and stays blank.
        shape: Channels, height and width.
        classes: Names of the classes.
        truth: ``[images]``, numbers of the true classes.
        answers: ``[images, classes]``, probabilities.

    Returns:
        The picture; None: every image was answered right.
    """
    answered, certainty = answers.argmax(axis=1), answers.max(axis=1)
    wrong = np.flatnonzero(answered != truth)
    if not len(wrong):
        return None
    shown = wrong[np.argsort(-certainty[wrong], kind="stable")][:MOST_SHOWN]
    lines = -(-len(shown) // _COLUMNS)
    figure = Figure(figsize=(1.4 * _COLUMNS, 1.75 * lines))
    set_margins(figure, 0.05, 0.05, 0.05, 0.4)
    figure.subplots_adjust(wspace=0.08, hspace=0.34)
    low, high = np.nanmin(rows), np.nanmax(rows)
    span = high - low if high > low else 1.0
    for place, row in enumerate(shown):
        axes = figure.add_subplot(lines, _COLUMNS, place + 1)
        pixels = rows[row].reshape(tuple(shape)).transpose(1, 2, 0)
        seen = pixels if pixels.shape[2] == 3 else pixels[:, :, 0]
        axes.imshow((seen - low) / span, cmap="gray", vmin=0, vmax=1)
        axes.set_title(
            _title(classes[truth[row]], classes[answered[row]], certainty[row]), fontsize=8, parse_math=False
        )
        axes.set_axis_off()
    return figure


def _title(true: str, answered: str, certainty: float) -> str:
    names = [short(name, max(_EACH, _BOTH - len(other))) for name, other in ((true, answered), (answered, true))]
    return f"{names[0]} as {names[1]}\n{100 * certainty:.0f} %"
