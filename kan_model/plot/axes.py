"""Axes that are cheap to draw: fixed margins, names of known width, powers in plain letters.

A layout that matplotlib computes from all texts draws each of them several times, and so does a formula as a label.
"""

import math
import warnings

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import LogFormatter

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def set_margins(figure: Figure, left: float, below: float, right: float, above: float) -> None:
    """Set the margins around all axes of a figure, in inches."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(left / width, below / height, 1 - right / width, 1 - above / height)


def text_width(text: str) -> float:
    """The width of a text of the usual size, in inches."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # A box is drawn instead.
        return text_to_path.get_text_width_height_descent(text, FontProperties(), False)[0] / 72


def label_powers(axis: Axis) -> None:
    """Label a logarithmic axis with powers such as 10⁻³ and 2×10⁻³."""
    axis.set_major_formatter(_Powers())
    axis.set_minor_formatter(_Powers())


class _Powers(LogFormatter):
    """matplotlib chooses which ticks get a label, as on any logarithmic axis."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of a tick; "" for none."""
        if not super().__call__(x, pos):
            return ""
        exponent = math.floor(math.log10(x) + 1e-9)
        factor, power = f"{x / 10.0**exponent:g}", f"10{str(exponent).translate(_RAISED)}"
        return power if factor == "1" else f"{factor}×{power}"
