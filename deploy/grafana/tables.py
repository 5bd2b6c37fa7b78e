"""Tables of the latest values."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import prometheus, table
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.panels import GREEN, Steps, finished, steps_of, thresholds

# Pixels. By default a column has at least 150, and the last ones of a small table are out of sight.
_NARROWEST = 50
# Where there is no value, there is no state.
_NO_COLOUR = {"type": "special", "options": {"match": "null+nan", "result": {"text": "–", "color": "transparent"}}}


def now(expression: str) -> prometheus.Dataquery:
    """A query of the latest values, one row of a table for each."""
    return prometheus.Dataquery().expr(expression).instant().format(PromQueryFormat.TABLE)


def rows(
    title: str,
    text: str,
    unit: str,
    queries: Sequence[prometheus.Dataquery],
    columns: dict[str, str],
    *,
    width: int,
    height: int,
    empty: str = "No data",
) -> table.Panel:
    """A table of the latest values, a row for each set of labels.

    Args:
        title: What it lists.
        text: What it means, what to do.
        unit: Of values; see :func:`column` for those of one column.
        queries: Of :func:`now`, with the same labels and no others, also no name of a metric: only such rows become
            one. Values of the first are called "Value #A", and so on.
        columns: What labels and values are called in the table, in order.
        width: Of 24 columns.
        height: In rows of the grid.
        empty: Words where there is nothing to list.
    """
    panel = table.Panel().show_header(True).no_value(empty).thresholds(thresholds(GREEN))
    # Otherwise each cell without a value says the words of the empty table.
    every = [
        dashboard.DynamicConfigValue("noValue", "–"),
        dashboard.DynamicConfigValue("custom.minWidth", _NARROWEST),
    ]
    panel = panel.override_by_regexp(".*", every)
    # One frame a query: without their times, rows with the same labels become one row.
    panel = panel.with_transformation(
        dashboard.DataTransformerConfig(id_val="filterFieldsByName", options={"exclude": {"names": ["Time"]}})
    )
    panel = panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    order = {name: index for index, name in enumerate(columns)}
    organize = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": columns}
    panel = panel.with_transformation(dashboard.DataTransformerConfig(id_val="organize", options=organize))
    return finished(panel, title, text, unit, queries, width=width, height=height)


def column(
    panel: table.Panel,
    name: str,
    unit: str,
    *,
    decimals: int = 0,
    steps: Steps = (),
    words: Sequence[tuple[str, str]] = (),
    links: Sequence[tuple[str, str]] = (),
    width: int | None = None,
) -> table.Panel:
    """The same with a column's own unit, decimals and pixels, colours by steps or words, links (title, address)."""
    properties = [dashboard.DynamicConfigValue("unit", unit), dashboard.DynamicConfigValue("decimals", decimals)]
    if steps:
        properties.append(steps_of(steps))
        properties.append(dashboard.DynamicConfigValue("mappings", [_NO_COLOUR]))
        properties.append(dashboard.DynamicConfigValue("custom.cellOptions", {"type": "color-background"}))
    if words:
        colours = {word: {"color": colour, "index": index} for index, (word, colour) in enumerate(words)}
        properties.append(dashboard.DynamicConfigValue("mappings", [{"type": "value", "options": colours}]))
        properties.append(dashboard.DynamicConfigValue("custom.cellOptions", {"type": "color-background"}))
    if links:
        value = [{"title": title, "url": address} for title, address in links]
        properties.append(dashboard.DynamicConfigValue("links", value))
    if width is not None:
        properties.append(dashboard.DynamicConfigValue("custom.width", width))
    return panel.override_by_name(name, properties)
