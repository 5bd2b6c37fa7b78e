"""Cheap axes say the same as matplotlib's."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation

from kan_model.plot.axes import label_powers, set_margins, text_width

_RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def _number(label: str) -> float:
    """The number that a label says."""
    factor, _, power = label.rpartition("×")
    return float(factor or 1) * math.pow(10, int(power.removeprefix("10").translate(_RAISED)))


@pytest.mark.parametrize("ends", [(1e-7, 30.0), (0.2, 4.0), (0.3, 0.7), (0.31, 0.33), (2e-12, 9e-12), (900.0, 1.1e5)])
def test_powers_are_labelled_as_matplotlib_does(ends: tuple[float, float]) -> None:
    """The same ticks have a label, which says the number; over some decades, within one, and in a part of it."""
    axes = Figure().subplots()
    axes.set(yscale="log", ylim=ends)
    axis, theirs = axes.yaxis, LogFormatterSciNotation()
    theirs.set_axis(axis)
    label_powers(axis)
    found = 0
    for places, formatter in (
        (axis.get_majorticklocs(), axis.get_major_formatter()),
        (axis.get_minorticklocs(), axis.get_minor_formatter()),
    ):
        shown = [float(place) for place in places if ends[0] <= place <= ends[1]]
        labels, wanted = formatter.format_ticks(shown), theirs.format_ticks(shown)
        assert [label == "" for label in labels] == [label == "" for label in wanted]
        told = [(_number(label), place) for label, place in zip(labels, shown, strict=True) if label]
        np.testing.assert_allclose([number for number, _ in told], [place for _, place in told], rtol=1e-4)
        found += len(told)
    assert found >= 2


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")
@pytest.mark.parametrize("text", ["petal width (cm)", "WWWW", "iiii", "名前"])
def test_a_text_is_as_wide_as_it_is_drawn(text: str) -> None:
    """Within the pixel or two to which letters are moved."""
    figure = Figure(dpi=200)
    drawn = figure.text(0, 0, text).get_window_extent()
    assert text_width(text) * 200 == pytest.approx(drawn.width, abs=0.5 * len(text) + 1)


def test_margins_are_inches() -> None:
    """Of all axes together, whatever the size of the figure."""
    figure = Figure(figsize=(8, 5))
    left, right = figure.subplots(1, 2)
    set_margins(figure, 1, 0.5, 2, 0.25)
    assert left.get_position().x0 * 8 == pytest.approx(1)
    assert right.get_position().x1 * 8 == pytest.approx(6)
    for axes in (left, right):
        assert (axes.get_position().y0 * 5, axes.get_position().y1 * 5) == pytest.approx((0.5, 4.75))
