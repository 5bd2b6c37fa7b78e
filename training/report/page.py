"""Pieces of an HTML page that loads nothing and runs nothing. All given text is escaped."""

import base64
import io
import warnings
from collections.abc import Iterable, Sequence
from html import escape

from matplotlib.figure import Figure

_DOTS_PER_INCH, _COMPRESSION = 110, 3
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.verdict { font-size: 1.2rem; margin: .6rem 0 1rem; }
.about { color: #666; margin-top: .2rem; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { text-align: left; padding: .15rem 1.2rem .15rem 0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td, h1 { overflow-wrap: anywhere; }
tr + tr > * { border-top: 1px solid #eee; }
img { max-width: 100%; } img.half { width: 49%; }
pre { background: #f6f6f6; padding: 1rem; font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere; }
"""


def page(title: str, parts: Iterable[str]) -> bytes:
    """The whole file, in UTF-8."""
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"{''.join(parts)}</body>\n</html>\n"
    )
    return text.encode()


def section(title: str, parts: Iterable[str]) -> str:
    """A heading and the parts below it; "" if the parts are empty."""
    content = "".join(parts)
    return f"<h2>{escape(title)}</h2>\n{content}\n" if content else ""


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of text; ``kind`` is its CSS class."""
    mark = f' class="{kind}"' if kind else ""
    return f"<p{mark}>{escape(text)}</p>\n"


def verbatim(text: str) -> str:
    """Text with its own line breaks; "" for no text."""
    return f"<pre>{escape(text)}</pre>\n" if text else ""


def folded(title: str, content: str) -> str:
    """Content that appears when its title is clicked; ``content`` is HTML."""
    return f"<details><summary>{escape(title)}</summary>\n{content}</details>\n"


def bullets(lines: Sequence[str]) -> str:
    """A bulleted list; "" for no lines."""
    return "<ul>\n" + "".join(f"<li>{escape(line)}</li>\n" for line in lines) + "</ul>\n" if lines else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    """A table of text cells. With ``numbers`` all cells but the first of a line are set as numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        marks = ["" if not place or not numbers else ' class="number"' for place in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{m}>{escape(c)}</{tag}>" for c, m in zip(cells, marks, strict=True)) + "</tr>\n"

    return f"<table>\n{line(head, 'th') if head else ''}{''.join(line(row, 'td') for row in rows)}</table>\n"


def number(value: float | None) -> str:
    """The number with five digits; "" for None."""
    return "" if value is None else f"{value:.5g}"


def image(figure: Figure, text: str, kind: str = "whole") -> str:
    """A picture inside the page; ``text`` is shown if the picture cannot be."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # A box is drawn instead.
        # Less compression takes a third of the time.
        figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, pil_kwargs={"compress_level": _COMPRESSION})
    content = base64.b64encode(buffer.getvalue()).decode()
    return f'<img class="{kind}" alt="{escape(text)}" src="data:image/png;base64,{content}">\n'
