"""Panels about versions, which both dashboards have: of all models, or of one."""

from grafana_foundation_sdk.builders import statetimeline, timeseries

from deploy.grafana.panels import lines, query, states
from deploy.grafana.promises import runbook


def answering(title: str, selector: str, labels: str, legend: str, *, width: int) -> statetimeline.Panel:
    """Which versions answer, on how many instances. ``labels`` and ``legend`` tell versions apart in the panel."""
    return states(
        title,
        "On how many instances each version answers. Red, 0: refused, broken, or in a stop."
        + runbook("KanModelUnavailable", "KanReplicasDiffer"),
        query(f"sum by ({labels}) (kan_model_ready{{{selector}}})", legend),
        width=width,
    )


def refused(selector: str, labels: str, legend: str, *, width: int) -> timeseries.Panel:
    """Which versions are refused and why; as :func:`answering`."""
    return lines(
        "Versions refused",
        "On how many instances a version is refused now, and why. The version before it answers on, where there is one."
        + runbook("KanVersionRefused"),
        "short",
        query(
            f"count by ({labels}, reason) (kan_model_refused_total{{{selector}}} > 0 "
            "and on (job, instance, model, version) kan_model_ready == 0)",
            f"{legend}: {{{{reason}}}}",
        ),
        width=width,
        empty="None is refused",
    ).decimals(0)
