"""Images that were answered wrong."""

from typing import Any

import numpy as np
import pytest

from tests.kit.pictures import texts_cut_off, texts_on_each_other
from training.report.wrong_images import wrong_images

CLASSES = ("bar", "$ring$")


def _images(channels: int, count: int = 20) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 16, (count, channels * 2 * 3))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_most_certain_mistakes_come_first(channels: int) -> None:
    """Each picture holds the pixels of its row; a dollar in the name of a class is no formula."""
    rows = _images(channels)
    truth = np.zeros(20, dtype=np.int64)
    sure = np.linspace(0.1, 0.9, 20)
    figure = wrong_images(rows, (channels, 2, 3), CLASSES, truth, np.stack([1 - sure, sure], axis=1))
    assert figure is not None
    assert len(figure.axes) == 10
    assert [axes.get_title() for axes in figure.axes[:1]] == ["bar as $ring$\n90 %"]
    figure.canvas.draw()
    shown = np.asarray(figure.axes[0].get_images()[0].get_array())
    planes = rows[-1].reshape(channels, 2, 3)
    wanted = planes.transpose(1, 2, 0) if channels == 3 else planes[0]
    np.testing.assert_allclose(shown * (rows.max() - rows.min()) + rows.min(), wanted)


def test_empty_pixels_and_equal_ones() -> None:
    """A pixel that is NaN takes no other one with it, and images of one grey have a picture."""
    rows = _images(1)
    rows[0, 0] = np.nan
    answers = np.tile([0.2, 0.8], (20, 1))
    figure = wrong_images(rows, (1, 2, 3), CLASSES, np.zeros(20, np.int64), answers)
    assert figure is not None
    figure.canvas.draw()
    shown: Any = np.ma.array(figure.axes[0].get_images()[0].get_array(), dtype=float)
    assert np.isnan(shown.filled(np.nan)).sum() == 1
    figure = wrong_images(np.full((20, 6), 7.0), (1, 2, 3), CLASSES, np.zeros(20, np.int64), answers)
    assert figure is not None
    figure.canvas.draw()


def test_at_most_twelve_are_shown() -> None:
    """Whatever the number of mistakes."""
    figure = wrong_images(_images(1), (1, 2, 3), CLASSES, np.zeros(20, np.int64), np.tile([0.2, 0.8], (20, 1)))
    assert figure is not None
    assert len(figure.axes) == 12


@pytest.mark.parametrize("classes", [("ankle boot", "sneaker"), ("a name that is rather long", "another long name")])
def test_titles_do_not_meet(classes: tuple[str, str]) -> None:
    """Names of usual length are whole, longer ones are cut in the middle."""
    figure = wrong_images(_images(1), (1, 2, 3), classes, np.zeros(20, np.int64), np.tile([0.2, 0.8], (20, 1)))
    assert figure is not None
    assert (figure.axes[0].get_title() == f"{classes[0]} as {classes[1]}\n80 %") == (len(classes[0]) < 20)
    assert texts_cut_off(figure) == []
    assert texts_on_each_other(figure) == []


def test_no_mistake_no_picture() -> None:
    """Where every image was answered right."""
    assert wrong_images(_images(1), (1, 2, 3), CLASSES, np.ones(20, np.int64), np.tile([0.2, 0.8], (20, 1))) is None
