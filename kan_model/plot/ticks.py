"""The ticks of a finished figure as one line and a text each, which look the same and take half of the time.

matplotlib makes three lines and two texts for each tick, and finds the ticks of an axis up to four times a drawing.
"""

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.markers import TICKDOWN, TICKLEFT
from matplotlib.ticker import Formatter, LogFormatter, ScalarFormatter
from matplotlib.transforms import ScaledTranslation, Transform

from kan_model.plot.axes import text_width

# As matplotlib draws them, in points: length and thickness of a tick, and the way from there to its label.
_MAJOR, _MINOR = (3.5, 0.8, 3.5), (2.0, 0.6, 3.4)
_ZORDER = 2.01
_USUAL_SIZE = 10.0


def lighten_ticks(figure: Figure) -> None:
    """Replace the ticks of axes of numbers. To be called just before a figure is saved: limits are final then.

    matplotlib's own stay where labels are words, and where they have a common factor such as 1e6.
    """
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            has_numbers = isinstance(axis.get_major_formatter(), ScalarFormatter | LogFormatter)
            if axes.axison and axis.get_visible() and has_numbers:
                _lighten(axes, axis)


def _lighten(axes: Axes, axis: Axis) -> None:
    major = _ticks(axis, list(axis.get_majorticklocs()), axis.get_major_formatter())
    if axis.get_major_formatter().get_offset():
        return
    minor = _ticks(axis, list(axis.get_minorticklocs()), axis.get_minor_formatter())
    is_x, told = axis is axes.xaxis, axis.get_tick_params()
    size = FontProperties(size=told.get("labelsize", _USUAL_SIZE)).get_size_in_points()
    widest = 0.0
    for ticks, (length, thickness, pad) in ((major, _MAJOR), (minor, _MINOR)):
        places = [place for place, _ in ticks]
        on_axis = axes.get_xaxis_transform() if is_x else axes.get_yaxis_transform()
        line = Line2D(places if is_x else [0] * len(places), [0] * len(places) if is_x else places, linestyle="")
        line.set(color="black", marker=TICKDOWN if is_x else TICKLEFT, markersize=length, markeredgewidth=thickness)
        line.set(transform=on_axis, clip_on=False, zorder=_ZORDER)
        axes.add_artist(line)
        moved = on_axis + _away(axes, length + pad, is_x=is_x)
        for place, text in ticks if told["labelbottom" if is_x else "labelleft"] else []:
            label = axes.text(place if is_x else 0, 0 if is_x else place, text, transform=moved, fontsize=size)
            label.set(ha="center" if is_x else "right", va="top" if is_x else "center_baseline", zorder=_ZORDER)
            widest = max(widest, length + pad + (size if is_x else text_width(text) * 72 * size / _USUAL_SIZE))
    name, (x, y) = axis.label, axis.label.get_position()
    if name.get_text():
        moved = axes.transAxes + _away(axes, max(widest, _MAJOR[0]) + axis.labelpad, is_x=is_x)
        label = axes.text(x if is_x else 0, 0 if is_x else y, name.get_text(), transform=moved, parse_math=False)
        label.set(fontsize=name.get_fontsize(), rotation=name.get_rotation(), rotation_mode=name.get_rotation_mode())
        label.set(ha=name.get_horizontalalignment(), va=name.get_verticalalignment())
    axis.set_visible(False)


def _ticks(axis: Axis, places: list[float], formatter: Formatter) -> list[tuple[float, str]]:
    """The ticks within the limits, each with its label."""
    low, high = sorted(axis.get_view_interval())
    near = 1e-10 * (high - low)
    texts = formatter.format_ticks(places)
    pairs = zip(places, texts, strict=True)
    return [(float(place), text) for place, text in pairs if low - near <= place <= high + near]


def _away(axes: Axes, points: float, *, is_x: bool) -> Transform:
    """Down from the horizontal axis, or left of the vertical one."""
    figure = axes.get_figure()
    assert figure is not None
    way = (0.0, -points / 72) if is_x else (-points / 72, 0.0)
    return ScaledTranslation(*way, figure.dpi_scale_trans)
