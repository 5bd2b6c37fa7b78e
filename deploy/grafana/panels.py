"""How the dashboards' panels look: each function gives one kind of panel, without a place on the grid."""

from collections.abc import Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

# provisioning/datasources/prometheus.yaml names it.
PROMETHEUS = dashboard.DataSourceRef(type_val="prometheus", uid="prometheus")

# Where a value begins, and its colour. Green: well. Orange: a ticket's worth. Red: someone is woken.
Steps = Sequence[tuple[float | None, str]]
GREEN: Steps = ((None, "green"),)

_P = TypeVar("_P", stat.Panel, timeseries.Panel, statetimeline.Panel, table.Panel, heatmap.Panel)


def query(expression: str, legend: str = "") -> prometheus.Dataquery:
    """A query over the time range; without a legend Grafana names a series by its labels."""
    return prometheus.Dataquery().expr(expression).range().legend_format(legend or "__auto")


def tile(
    title: str, text: str, unit: str, steps: Steps, *queries: prometheus.Dataquery, empty: str, decimals: int = 0
) -> stat.Panel:
    """A number on a field of its colour, and what it was before as a line below; or several, with their names.

    Args:
        title: What it is.
        text: Shown when the pointer rests on the title: what it means, what to do.
        unit: By Grafana's names, such as "s" or "percentunit".
        steps: Where which colour begins, upwards.
        *queries: Each gives one series.
        empty: Words where there is no number.
        decimals: Digits after the point.
    """
    panel = (
        stat.Panel()
        .color_mode(shapes.BigValueColorMode.BACKGROUND)
        .graph_mode(shapes.BigValueGraphMode.AREA)
        .text_mode(shapes.BigValueTextMode.VALUE if len(queries) == 1 else shapes.BigValueTextMode.VALUE_AND_NAME)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value(empty)
        .decimals(decimals)
        .thresholds(thresholds(steps))
        .color_scheme(_by_thresholds())
    )
    return finished(panel, title, text, unit, queries, width=3, height=4)


def lines(
    title: str,
    text: str,
    unit: str,
    *queries: prometheus.Dataquery,
    width: int = 6,
    height: int = 7,
    limit: Steps = GREEN,
    most: float | None = None,
    empty: str = "No data",
) -> timeseries.Panel:
    """Lines over time, from zero.

    Args:
        title: What they are.
        text: What they mean, what to do.
        unit: By Grafana's names.
        *queries: What is drawn.
        width: Of 24 columns.
        height: In rows of the grid.
        limit: Steps that are drawn as dashed lines.
        most: Where the axis ends at least.
        empty: Words where there is nothing to draw.
    """
    panel = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(8)
        .show_points(shapes.VisibilityMode.NEVER)
        .axis_soft_min(0)
        .legend(_legend(shown=True))
        .tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING))
        .thresholds(thresholds(limit))
        .no_value(empty)
    )
    if len(limit) > 1:
        dashed = shapes.GraphTresholdsStyleMode.DASHED
        panel = panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(dashed))
    if most is not None:
        panel = panel.axis_soft_max(most)
    return finished(panel, title, text, unit, queries, width=width, height=height)


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """The same with each line upon the one before, for parts of a whole."""
    # Without outlines: that of a part that is zero would run along the top of the whole, in the colour of a failure.
    return panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL)).fill_opacity(60).line_width(0)


def bars(panel: timeseries.Panel) -> timeseries.Panel:
    """The same as bars, for counts of what happens now and then."""
    return panel.draw_style(shapes.GraphDrawStyle.BARS).fill_opacity(80).axis_soft_max(1).decimals(0)


def heat(title: str, text: str, expression: str, *, width: int, height: int) -> heatmap.Panel:
    """How many requests took how long, over time: PromQL gives buckets of seconds with their label le."""
    panel = (
        heatmap.Panel()
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .scale(HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit("s"))
        .cell_values(heatmap.CellValues().unit("short").decimals(0))
        # Cells without requests stay empty.
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .show_tooltip()
        .show_y_histogram()
        .show_legend()
        # Cells wide enough to be seen.
        .max_data_points(120)
    )
    buckets = query(expression, "{{le}}").format(PromQueryFormat.HEATMAP)
    return finished(panel, title, text, "s", [buckets], width=width, height=height)


def states(title: str, text: str, wanted: prometheus.Dataquery, *, width: int, height: int = 7) -> statetimeline.Panel:
    """A band for each series, red while it is zero."""
    panel = (
        statetimeline.Panel()
        .show_value(shapes.VisibilityMode.AUTO)
        .merge_values(True)
        .row_height(0.8)
        .line_width(0)
        .fill_opacity(70)
        .legend(_legend(shown=False))
        .thresholds(thresholds(((None, "red"), (1, "green"))))
        .color_scheme(_by_thresholds())
        .no_value("No model is known")
        .decimals(0)
    )
    return finished(panel, title, text, "short", [wanted], width=width, height=height)


def steps_of(steps: Steps) -> dashboard.DynamicConfigValue:
    """Steps of some of a panel's series."""
    return dashboard.DynamicConfigValue("thresholds", thresholds(steps).build())


def shades_of(colour: str) -> dashboard.DynamicConfigValue:
    """A colour for some of a panel's series; several get shades of it."""
    return dashboard.DynamicConfigValue("color", {"mode": "shades", "fixedColor": colour})


def thresholds(steps: Steps) -> builders.ThresholdsConfig:
    """Steps as Grafana wants them."""
    wanted = [dashboard.Threshold(value=start, color=colour) for start, colour in steps]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(wanted)


def _legend(*, shown: bool) -> common.VizLegendOptions:
    options = common.VizLegendOptions().show_legend(shown).display_mode(shapes.LegendDisplayMode.LIST)
    return options.placement(shapes.LegendPlacement.BOTTOM)


def _by_thresholds() -> builders.FieldColor:
    return builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS)


def finished(
    panel: _P, title: str, text: str, unit: str, queries: Sequence[prometheus.Dataquery], *, width: int, height: int
) -> _P:
    """The same with what every panel has: words, a unit, a size, the data source, and queries called A, B, …"""
    panel = panel.title(title).description(text).unit(unit).span(width).height(height).datasource(PROMETHEUS)
    for letter, wanted in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", queries, strict=False):
        panel = panel.with_target(wanted.ref_id(letter).datasource(PROMETHEUS))
    return panel
