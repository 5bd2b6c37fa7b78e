"""Sections of the dashboard Serving about requests: traffic, latency, batches and queues."""

from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from deploy.grafana import promises
from deploy.grafana.panels import heat, lines, query, stacked
from deploy.grafana.promises import runbook
from deploy.grafana.queries import (
    ALL,
    MODEL,
    OF_INSTANCE,
    OF_VERSION,
    QUEUED,
    REQUESTS,
    VERSION,
    came_up,
    known,
    mean,
    quantile,
    rate,
)


def traffic() -> list[timeseries.Panel]:
    """Who asks for what, and what he does not get."""
    return [
        lines(
            "Requests by protocol",
            "Calls answered a second by protocol; health checks and reflection are in this panel alone.",
            "reqps",
            query(came_up("kan_requests_total", ALL, "protocol"), "{{protocol}}"),
        ),
        lines(
            "Rows predicted",
            "Rows that went through the models in a second: the work, where requests are the calls.",
            "rowsps",
            query(rate("kan_batch_rows_sum", QUEUED, "model", "version"), OF_VERSION),
        ),
        lines(
            "Failed requests by model",
            "Share of requests that failed within 5 minutes, on all instances; dashed: the objective of 0.1 %, and "
            "what wakes someone if it stays." + runbook("KanAvailabilityBudgetBurn"),
            "percentunit",
            query(known(f"kan_model:request_errors:ratio_rate5m{{{MODEL}}}"), "{{model}}"),
            limit=promises.FAILED,
            most=0.002,
        ),
        stacked(
            lines(
                "Shed, expired, turned away",
                "Requests a second that were not run. overload: the queue was full. quota: above the model's quota. "
                "deadline: their time was over before their turn. cancelled: the caller gave up. draining: the server "
                "stops. invalid: not what the model takes." + runbook("KanLoadShed"),
                "reqps",
                query(came_up("kan_rejected_total", ALL, "reason"), "{{reason}}"),
            )
        ),
    ]


def latency() -> list[Builder[dashboard.Panel]]:
    """How long, and where the time goes."""
    waits, runs = "kan_queue_duration_seconds_bucket", "kan_compute_duration_seconds_bucket"
    return [
        heat(
            "Requests by latency",
            "How many requests took how long inside the server: the stronger the colour, the more. Two bands: "
            "two kinds of requests.",
            f"sum by (le) (increase(kan_request_duration_seconds_bucket{{{ALL},{REQUESTS}}}[$__rate_interval]))",
            width=12,
            height=8,
        ),
        lines(
            "Waiting and computing",
            "Time in the queue before the first run, beside the time of a run, for a whole batch. Waiting grows first "
            "where load is more than the process can do; computing where the model is larger or cores are busy."
            + runbook("KanLatencyBudgetBurn"),
            "s",
            query(quantile(0.99, waits, ALL), "waiting p99").exemplar(True),
            query(quantile(0.5, waits, ALL), "waiting p50"),
            query(quantile(0.99, runs, ALL), "computing p99").exemplar(True),
            query(quantile(0.5, runs, ALL), "computing p50"),
            height=8,
        ),
        lines(
            "Slower than 50 ms by model",
            "Share of requests above 50 ms within 5 minutes, on all instances; dashed: the objective of 1 %, and what "
            "wakes someone if it stays." + runbook("KanLatencyBudgetBurn"),
            "percentunit",
            query(f"kan_model:slow_requests:ratio_rate5m{{{MODEL}}}", "{{model}}"),
            height=8,
            limit=promises.SLOW,
            most=0.02,
        ),
    ]


def queue() -> list[timeseries.Panel]:
    """How full runs and queues are."""
    return [
        lines(
            "Rows per request and run",
            "Means. Rows per run near those per request: callers come one by one. Many rows a request are many times "
            "cheaper than many requests.",
            "short",
            query(mean("kan_request_rows", ALL), "request"),
            query(mean("kan_batch_rows", ALL), "run"),
        ),
        lines(
            "Batch fill",
            "Rows per run, of the most that one run takes, within 5 minutes, on all instances. Near 100 %: the "
            "machine does what it can; add replicas before the queue is full." + runbook("KanQueueSaturated"),
            "percentunit",
            query(f"kan:batch_fill:ratio5m{{{VERSION}}}", OF_VERSION),
            most=1,
        ),
        lines(
            "Rows waiting",
            "Rows in the queue of each instance when it was scraped." + runbook("KanQueueSaturated"),
            "short",
            query(f"sum by (model, version, instance) (kan_queue_rows{{{QUEUED}}})", OF_INSTANCE),
        ),
        lines(
            "Queues against their limit",
            "Rows waiting, of those that may, on the mean of 5 minutes; dashed: 80 %, more than bulk requests can fill "
            "alone, and full." + runbook("KanQueueSaturated", "KanLoadShed"),
            "percentunit",
            query(f"kan_instance:queue_saturation:ratio5m{{{ALL}}}", OF_INSTANCE),
            limit=promises.QUEUE,
            most=1,
        ),
    ]
