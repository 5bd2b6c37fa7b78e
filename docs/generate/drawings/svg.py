"""A drawing of boxes, lines and words as SVG text."""

from collections.abc import Iterable
from html import escape

_FONT = "font-family='system-ui, sans-serif'"
_INK, _PAPER = "#222222", "#ffffff"


class Drawing:
    """Collects shapes. Coordinates are pixels, from the upper left corner.

    Args:
        width: Of the whole drawing.
        height: Of the whole drawing.
        title: What it shows, for readers who cannot see it.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        head = (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:g} {height:g}' width='{width:g}' role='img'>"
        )
        arrow = "<marker id='end' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
        self._parts = [
            head,
            f"<title>{escape(title)}</title>",
            f"<defs>{arrow}<path d='M0 0 L8 4 L0 8 z' fill='{_INK}'/></marker></defs>",
            f"<rect width='{width:g}' height='{height:g}' rx='6' fill='{_PAPER}'/>",
        ]

    def box(self, x: float, y: float, width: float, height: float, colour: str = "#eef2f8") -> None:
        """A filled box."""
        size = f"x='{x:g}' y='{y:g}' width='{width:g}' height='{height:g}'"
        self._parts.append(f"<rect {size} rx='4' fill='{colour}' stroke='#8896aa'/>")

    def words(self, x: float, y: float, lines: Iterable[str], *, size: float = 12, centred: bool = True) -> None:
        """Lines below each other, the first one bold."""
        anchor = "middle" if centred else "start"
        for number, line in enumerate(lines):
            style = f"font-size='{size:g}' font-weight='{'bold' if number == 0 else 'normal'}' text-anchor='{anchor}'"
            place = f"x='{x:g}' y='{y + 1.35 * size * number:g}'"
            self._parts.append(f"<text {place} {_FONT} {style} fill='{_INK}'>{escape(line)}</text>")

    def arrow(self, *points: tuple[float, float]) -> None:
        """A line through the points, with a head at the last one."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self._parts.append(f"<polyline points='{path}' fill='none' stroke='{_INK}' marker-end='url(#end)'/>")

    def text(self) -> str:
        """The whole as SVG."""
        return "\n".join([*self._parts, "</svg>", ""])
