"""The images of the test rows that were answered wrong, as one picture."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

_COLUMNS, _ROWS = 6, 2
MOST_SHOWN = _COLUMNS * _ROWS


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
    figure = Figure(figsize=(1.4 * _COLUMNS, 1.75 * lines), layout="constrained")
    low, high = np.nanmin(rows), np.nanmax(rows)
    span = high - low if high > low else 1.0
    for place, row in enumerate(shown):
        axes = figure.add_subplot(lines, _COLUMNS, place + 1)
        pixels = rows[row].reshape(tuple(shape)).transpose(1, 2, 0)
        seen = pixels if pixels.shape[2] == 3 else pixels[:, :, 0]
        axes.imshow((seen - low) / span, cmap="gray", vmin=0, vmax=1)
        title = f"{classes[truth[row]]} as {classes[answered[row]]}\n{100 * certainty[row]:.0f} %"
        axes.set_title(title, fontsize=8, parse_math=False)
        axes.set_axis_off()
    return figure
