"""Which panel is where on a dashboard, drawn from the JSON that Grafana gets."""

import json
import textwrap
from pathlib import Path
from typing import Any

from docs.generate.drawings.svg import Drawing

_BOARDS = Path(__file__).parents[3] / "deploy" / "grafana" / "dashboards"
# Grafana's grid has 24 columns.
_COLUMN, _ROW, _GAP = 42, 16, 4
_COLOURS = {"row": "#ffffff", "stat": "#dff0e0", "table": "#f5edd8"}
_LETTER = 7.4


def layout(name: str) -> str:
    """The panels of a dashboard with their titles.

    Args:
        name: Its file in deploy/grafana/dashboards, without the ending.
    """
    board: dict[str, Any] = json.loads((_BOARDS / f"{name}.json").read_text())
    panels = board["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    drawing = Drawing(24 * _COLUMN + _GAP, rows * _ROW + _GAP, f"The panels of the dashboard {board['title']}")
    for panel in panels:
        _draw(drawing, panel)
    return drawing.text()


def _draw(drawing: Drawing, panel: dict[str, Any]) -> None:
    place = panel["gridPos"]
    x, y = place["x"] * _COLUMN + _GAP, place["y"] * _ROW + _GAP
    width, height = place["w"] * _COLUMN - _GAP, place["h"] * _ROW - _GAP
    if panel["type"] == "row":
        drawing.words(x + 4, y + 10, [f"▾ {panel['title']}"], centred=False)
        return
    drawing.box(x, y, width, height, _COLOURS.get(panel["type"], "#e6edf7"))
    lines = textwrap.wrap(panel["title"], int((width - 8) / _LETTER))
    drawing.words(x + width / 2, y + height / 2 - 8 * (len(lines) - 1) + 2, [lines[0]])
    for number, line in enumerate(lines[1:], start=1):
        drawing.words(x + width / 2, y + height / 2 - 8 * (len(lines) - 1) + 2 + 15 * number, [line])
    if height > 4 * _ROW:
        drawing.words(x + width / 2, y + height / 2 + 8 * len(lines) + 8, ["", panel["type"]], size=10)
