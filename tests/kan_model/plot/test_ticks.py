"""Light ticks look as matplotlib's."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from kan_model.plot.axes import label_powers
from kan_model.plot.ticks import lighten_ticks


def _numbers(figure: Figure) -> None:
    axes = figure.subplots()
    axes.plot([-3, 0.5, 17], [0.001, 0.002, -0.0007])
    axes.set(xlabel="what is true", ylabel="answer", title="title")


def _small(figure: Figure) -> None:
    figure.subplots_adjust(wspace=0.4)
    for axes in figure.subplots(1, 2):
        axes.plot([1, 2], [100, 250.5])
        axes.tick_params(labelsize=7)
        axes.set_xlabel("at the right", fontsize=7, loc="right", labelpad=1)
        axes.set_ylabel("small", fontsize=8)


def _shared(figure: Figure) -> None:
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    upper.plot([0, 1], [0, 1])
    lower.bar([0.2, 0.4], [20, 10], 0.1)
    lower.set_xlabel("probability")
    upper.set(xlim=(-0.02, 1.02), ylabel="came true")


def _logarithmic(figure: Figure) -> None:
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log", xlim=(1e-4, 30), ylim=(0.2, 3), ylabel="loss")
    label_powers(axes.xaxis)
    label_powers(axes.yaxis)


def _words_and_factor(figure: Figure) -> None:
    axes = figure.subplots()
    axes.bar([0, 1], [1e7, 3e7])
    axes.set_xticks([0, 1], ["red", "blue"], rotation=45)


def _pixels(draw: Callable[[Figure], None], *, light: bool) -> np.ndarray:
    figure, buffer = Figure(figsize=(5, 4)), io.BytesIO()
    draw(figure)
    if light:
        lighten_ticks(figure)
    figure.savefig(buffer, format="png")
    return np.asarray(imread(io.BytesIO(buffer.getvalue())))[..., :3]


@pytest.mark.parametrize("draw", [_numbers, _small, _shared, _logarithmic, _words_and_factor])
def test_the_picture_is_matplotlibs(draw: Callable[[Figure], None]) -> None:
    """Letters may be moved by a part of a pixel; without the ticks far more pixels would differ."""
    wanted, found = (_pixels(draw, light=light) for light in (False, True))
    blurred_wanted, blurred_found = (_blurred(picture) for picture in (wanted, found))
    assert np.abs(blurred_wanted - blurred_found).max() < 0.12


def _blurred(picture: np.ndarray) -> np.ndarray:
    """The mean of each square of 9 × 9 pixels."""
    windows = np.lib.stride_tricks.sliding_window_view(picture.mean(axis=2), (9, 9))
    blurred: np.ndarray = windows[::2, ::2].mean(axis=(2, 3))
    return blurred
