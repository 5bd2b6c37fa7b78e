"""What a person sees of a picture: which texts are cut off at its edge, and which lie on each other."""

import itertools
from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts_cut_off(figure: Figure) -> list[str]:
    """The texts that do not lie within the figure."""
    whole = figure.bbox.padded(0.5)
    return [
        text
        for text, box, _ in _drawn(figure)
        if min(box.x0 - whole.x0, box.y0 - whole.y0, whole.x1 - box.x1, whole.y1 - box.y1) < 0
    ]


def texts_on_each_other(figure: Figure) -> list[tuple[str, str]]:
    """The pairs of texts that overlap by more than a pixel; texts aslant are left out, since their boxes are larger."""
    level = [(text, box.padded(-0.5)) for text, box, angle in _drawn(figure) if angle % 90 == 0]
    return [(a, b) for (a, one), (b, other) in itertools.combinations(level, 2) if one.overlaps(other)]


def _drawn(figure: Figure) -> list[tuple[str, Bbox, float]]:
    """Each text that is drawn, with its box and its angle."""
    figure.draw_without_rendering()
    legends = [*figure.legends, *(legend for axes in figure.axes if (legend := axes.get_legend()))]
    texts = [*(text for axes in figure.axes for text in _texts(axes)), *(t for one in legends for t in one.get_texts())]
    shown = [text for text in texts if text.get_visible() and text.get_text()]
    return [(text.get_text(), text.get_window_extent(), text.get_rotation()) for text in shown]


def _texts(axes: Axes) -> Iterator[Text]:
    """Titles, texts and labels; those of ticks between the ends of their axis, since others are not drawn."""
    yield from (axes.title, *axes.texts)
    for axis in (axes.xaxis, axes.yaxis):
        if axes.axison and axis.get_visible():
            low, high = sorted(axis.get_view_interval())
            ticks = (*axis.get_major_ticks(), *axis.get_minor_ticks())
            yield from (tick.label1 for tick in ticks if low <= tick.get_loc() <= high)
            yield from (axis.label, axis.get_offset_text())
