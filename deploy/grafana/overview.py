"""The first screen of the dashboard Serving: whether all is well, what comes in, and how fast it is answered."""

from grafana_foundation_sdk.builders import common, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from deploy.grafana import promises
from deploy.grafana.panels import lines, query, shades_of, stacked, steps_of, tile
from deploy.grafana.promises import runbook
from deploy.grafana.queries import ALL, MODEL, REQUESTS, SHARES, VERSION, came_up, quantile
from deploy.grafana.tables import column, now, rows

# Labels that tell alerts of one name apart, beside model, version and instance. An alert has one of them at most.
_DETAILS = '"column", "output", "reason", "rule_group", "file", "integration"'


def tiles() -> list[stat.Panel]:
    """Green, or where to look."""
    alerts = tile(
        "Alerts firing",
        "Of the whole service, whatever is chosen above. Pages (red) wake someone, tickets (orange) wait for working "
        "hours. The table below says which." + runbook("alerts"),
        "short",
        promises.PAGES,
        query('count(ALERTS{alertstate="firing",severity="page"}) or vector(0)', "pages"),
        query('count(ALERTS{alertstate="firing",severity="ticket"}) or vector(0)', "tickets"),
        empty="none",
    )
    return [
        tile(
            "Instances up",
            "Replicas of the whole service that answer on their metrics port. Orange: one, and the next failure "
            "takes the service down." + runbook("KanAllInstancesDown", "KanTooFewInstances"),
            "short",
            promises.REPLICAS,
            query("kan_service:instances_up:count"),
            empty="no rules",
        ),
        tile(
            "Models ready",
            "Of the models chosen, those with a version that answers on some instance. Red: none."
            + runbook("KanNoReadyModel", "KanModelUnavailable"),
            "percentunit",
            promises.READY,
            query(f"avg(max by (model) (kan_model_ready{{{MODEL}}})) or vector(0)"),
            empty="none",
        ),
        tile(
            "Failed requests",
            "Share of requests that failed within 5 minutes, of the model where it is worst, on all instances. Orange: "
            "above the objective of 0.1 %. Red: 14.4 times as much, which wakes someone if it stays."
            + runbook("KanAvailabilityBudgetBurn"),
            "percentunit",
            promises.FAILED,
            query(f"max(kan_model:request_errors:ratio_rate5m{{{MODEL}}})"),
            empty="no requests",
            decimals=2,
        ),
        tile(
            "p99 latency",
            "Within 5 minutes 99 of 100 requests took no longer inside the server; of the version where it is worst, "
            "on all instances. Orange: above the objective of 50 ms." + runbook("KanLatencyBudgetBurn"),
            "s",
            promises.SECONDS,
            query(f"max(kan:request_duration_seconds:p99_5m{{{VERSION}}} >= 0)"),
            empty="no requests",
            decimals=1,
        ),
        tile(
            "Availability budget left",
            "Of the failures that 30 days may have (0.1 % of requests), what is left, of the model where least is. "
            "Orange: less than a quarter. Red: the objective is missed. Computed every 5 minutes."
            + runbook("KanAvailabilityBudgetBurn"),
            "percentunit",
            promises.BUDGET,
            query(f"min(last_over_time(kan_model:availability_budget:remaining30d{{{MODEL}}}[15m]))"),
            empty="not yet",
        ),
        tile(
            "Latency budget left",
            "Of the requests above 50 ms that 30 days may have (1 %), what is left, of the model where least is. "
            "Orange: less than a quarter. Red: the objective is missed. Computed every 5 minutes."
            + runbook("KanLatencyBudgetBurn"),
            "percentunit",
            promises.BUDGET,
            query(f"min(last_over_time(kan_model:latency_budget:remaining30d{{{MODEL}}}[15m]))"),
            empty="not yet",
        ),
        tile(
            "Fullest queue",
            "Rows that wait, of those that may, on the mean of 5 minutes; the fullest queue of all instances. Orange: "
            "above 80 %. At 100 % requests are refused." + runbook("KanQueueSaturated"),
            "percentunit",
            promises.QUEUE,
            query(f"max(kan:queue_saturation:ratio5m{{{VERSION}}})"),
            empty="no queue",
        ),
        alerts.override_by_name("tickets", [steps_of(promises.TICKETS)]),
    ]


def first() -> list[Builder[dashboard.Panel]]:
    """What is wrong, what comes in and how fast it is answered: the rest of the first screen."""
    alerts = rows(
        "Firing alerts",
        "Of the whole service, whatever is chosen above, with the time since each became true. Detail: the column or "
        "answer that drifts, or why a version is refused. What to do is in the section of the alert's name."
        + runbook("alerts"),
        "short",
        [
            now(
                "max by (alertname, severity, model, version, detail, instance) (label_join(time() - ALERTS_FOR_STATE "
                f'and ignoring (alertstate) ALERTS{{alertstate="firing"}}, "detail", "", {_DETAILS}))'
            )
        ],
        {
            "severity": "Severity",
            "alertname": "Alert",
            "Value": "For",
            "model": "Model",
            "version": "Version",
            "detail": "Detail",
            "instance": "Instance",
        },
        width=8,
        height=8,
        empty="No alert is firing",
    )
    alerts = column(alerts, "Severity", "string", words=promises.SEVERITIES, width=75)
    alerts = column(alerts, "For", "dtdurations", width=90)
    for name, width in (("Alert", 170), ("Version", 65)):
        alerts = column(alerts, name, "string", width=width)
    return [
        # Pages before tickets.
        alerts.sort_by([common.TableSortByFieldState().display_name("Severity")]),
        _by_code(),
        lines(
            "Latency percentiles",
            "From a request's arrival to its answer, inside the server; the dashed line is the objective: 99 of 100 "
            "requests within 50 ms." + runbook("KanLatencyBudgetBurn"),
            "s",
            *(
                # The points are exemplars: traces of single calls.
                query(quantile(share, "kan_request_duration_seconds_bucket", f"{ALL},{REQUESTS}"), name).exemplar(
                    name == "p99"
                )
                for share, name in SHARES
            ),
            width=8,
            height=8,
            limit=promises.SECONDS,
        ),
    ]


def _by_code() -> timeseries.Panel:
    panel = lines(
        "Requests by status",
        "Requests answered a second, by the codes that came up. Red: failures of the service, which count against "
        "availability. Yellow: what a caller did wrong or gave up." + runbook("KanAvailabilityBudgetBurn"),
        "reqps",
        query(came_up("kan_requests_total", f"{ALL},{REQUESTS}", "code"), "{{code}}"),
        width=8,
        height=8,
    )
    failures = "INTERNAL|UNAVAILABLE|RESOURCE_EXHAUSTED|DEADLINE_EXCEEDED|UNKNOWN"
    for pattern, colour in (("OK", "green"), (failures, "red"), (f"(?!OK|{failures}).*", "yellow")):
        panel = panel.override_by_regexp(f"^({pattern})$", [shades_of(colour)])
    return stacked(panel)
