"""What both dashboards share: variables, annotations, links, and sections one below the other."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from deploy.grafana.panels import PROMETHEUS

SERVING, MODELS = "kan-serving", "kan-models"

# A section's title, the variable for each of whose values it is there once, and its panels from left to right.
Section = tuple[str, str, Sequence[Builder[dashboard.Panel]]]


class _Annotation(dashboard.AnnotationQuery):
    """With the words that the kit leaves out."""

    def to_json(self) -> dict[str, object]:
        return super().to_json() | {"titleFormat": "Another version took over", "textFormat": "{{model}}"}


def variable(name: str, label: str, query: str, text: str) -> builders.QueryVariable:
    """A list to choose from, all at first; it follows the time range, so that what is gone can still be looked at."""
    newest_first = dashboard.VariableSort.NUMERICAL_DESC
    return (
        builders.QueryVariable(name)
        .label(label)
        .description(text)
        # 1: label_values, in Grafana's own numbers.
        .query({"qryType": 1, "query": query, "refId": f"variable-{name}"})
        .datasource(PROMETHEUS)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(newest_first if name == "version" else dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        # Requests for unknown models have an empty label: a list of all names would leave them out.
        .all_value(".*")
        .current(dashboard.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


MODEL = variable("model", "Model", "label_values(kan_model_ready, model)", "Models that are or were in the repository.")
VERSION = variable(
    "version",
    "Version",
    'label_values(kan_model_ready{model=~"$model"}, version)',
    "Their versions, the refused among them.",
)
INSTANCE = variable(
    "instance",
    "Instance",
    'label_values(up{job="kan-serve"}, instance)',
    "Replicas of kan-serve. Panels of the whole service, whose text says so, and those of Envoy show all.",
)


def board(
    uid: str,
    title: str,
    text: str,
    variables: Sequence[builders.QueryVariable],
    sections: Sequence[Section],
) -> dashboard.Dashboard:
    """A dashboard of sections one below the other.

    Args:
        uid: Its fixed name in addresses.
        title: What it is called.
        text: What it is for.
        variables: What can be chosen at its top.
        sections: What it shows, from the top.
    """
    other = (
        builders.DashboardLink("KAN dashboards")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags(["kan-serving"])
        .include_vars(True)
        .keep_time(True)
    )
    swaps = _Annotation(
        name="Versions that took over",
        datasource=PROMETHEUS,
        enable=True,
        icon_color="blue",
        expr='sum by (model) (increase(kan_model_swaps_total{model=~"$model"}[$__rate_interval])) > 0',
    )
    made = (
        builders.Dashboard(title)
        .uid(uid)
        .description(text)
        .tags(["kan-serving"])
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .variables(list(variables))
        .link(other)
        .readonly()
    )
    for name, repeat, panels in sections:
        if name:
            row = builders.Row(name)
            made = made.with_row(row.repeat(repeat) if repeat else row)
        for panel in panels:
            made = made.with_panel(panel)
    built = made.build()
    built.annotations = dashboard.AnnotationContainer(list_val=[swaps])
    for number, placed in enumerate(built.panels or [], start=1):
        placed.id_val = number
    return built
