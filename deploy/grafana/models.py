"""The dashboard Models: all of them in a table, and each by its versions."""

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from deploy.grafana import boards, promises
from deploy.grafana.drift import drift
from deploy.grafana.panels import bars, lines, query, stacked
from deploy.grafana.promises import runbook
from deploy.grafana.queries import MODEL, REQUESTS, VERSION, known, mean, quantile, rate
from deploy.grafana.tables import column, now, rows
from deploy.grafana.versions import answering, refused

# Also of recorded rates, which have a name: rows of a table become one only if no other label tells them apart.
_BY, _WORST = "sum by (model, version)", "max by (model, version)"
_OF = "{{version}}"
_SERVING = f"/d/{boards.SERVING}?var-model=${{__data.fields.Model}}&var-version=${{__value.raw}}&${{__url_time_range}}"
_PANELS = f"/d/{boards.MODELS}?var-model=${{__value.raw}}&${{__url_time_range}}"


def models() -> dashboard.Dashboard:
    """The whole dashboard."""
    return boards.board(
        boards.MODELS,
        "Models",
        "What each model and version does: traffic, latency, sizes, drift, readiness, loads, refusals, changes.",
        [boards.MODEL, boards.VERSION],
        [("", "", [_table()]), ("Model $model", "model", [*_requests(), *_runs(), *drift(), *_life()])],
    )


def _table() -> table.Panel:
    columns = {
        "model": ("Model", "string", 0, ()),
        "version": ("Version", "string", 0, ()),
        "Value #A": ("Ready on", "short", 0, promises.ANSWERS),
        "Value #B": ("Requests", "reqps", 1, ()),
        "Value #C": ("Failed", "percentunit", 2, promises.FAILED),
        "Value #D": ("p50", "s", 1, ()),
        "Value #E": ("p99", "s", 1, promises.SECONDS),
        "Value #F": ("Rows", "rowsps", 1, ()),
        "Value #G": ("Rows per run", "short", 1, ()),
        "Value #H": ("Batch fill", "percentunit", 0, ()),
        "Value #I": ("Fullest queue", "percentunit", 0, promises.QUEUE),
        "Value #J": ("Shed", "percentunit", 2, promises.SHED),
    }
    panel = rows(
        "All versions",
        "Each version that is in the repository, or was within 15 minutes; values are of the last 5 minutes and of all "
        "instances. A model's name leads to its panels, a version to Serving. Ready on: instances; orange where "
        "it answers on none, refused or broken." + runbook("KanVersionRefused", "KanModelUnavailable"),
        "short",
        [
            now(f"{_BY} (kan_model_ready{{{VERSION}}})"),
            now(f"{_BY} (kan:requests:rate5m{{{_KNOWN}}})"),
            now(f"{_WORST} (kan:request_errors:ratio_rate5m{{{_KNOWN}}})"),
            now(f"{_WORST} (kan:request_duration_seconds:p50_5m{{{_KNOWN}}} >= 0)"),
            now(f"{_WORST} (kan:request_duration_seconds:p99_5m{{{_KNOWN}}} >= 0)"),
            now(f"{_BY} (kan:rows:rate5m{{{_KNOWN}}})"),
            now(f"{_WORST} (kan:batch_rows:mean5m{{{_KNOWN}}})"),
            now(f"{_WORST} (kan:batch_fill:ratio5m{{{_KNOWN}}})"),
            now(f"{_WORST} (kan:queue_saturation:ratio5m{{{_KNOWN}}})"),
            now(f"{_WORST} (kan:rejected_overload:ratio_rate5m{{{_KNOWN}}})"),
        ],
        {field: name for field, (name, *_) in columns.items()},
        width=24,
        height=8,
        empty="No model is known",
    )
    links = {"Model": [("Panels of this model", _PANELS)], "Version": [("This version in Serving", _SERVING)]}
    for name, unit, decimals, steps in columns.values():
        panel = column(panel, name, unit, decimals=decimals, steps=steps, links=links.get(name, ()))
    return panel


# Requests that name a model or version that is not there have no place in a table of those that are.
_KNOWN = f'{VERSION},version!=""'


def _requests() -> list[Builder[dashboard.Panel]]:
    return [
        stacked(
            lines(
                "Traffic by version",
                "Requests answered a second. unknown: their version is not there.",
                "reqps",
                query(known(rate("kan_requests_total", f"{VERSION},{REQUESTS}", "version"), "version"), _OF),
            )
        ),
        lines(
            "Latency by version",
            "Inside the server, within 5 minutes, on all instances; dashed: the objective for p99, 50 ms."
            + runbook("KanLatencyBudgetBurn"),
            "s",
            query(f"kan:request_duration_seconds:p99_5m{{{_KNOWN}}} >= 0", f"{_OF} p99"),
            query(f"kan:request_duration_seconds:p50_5m{{{_KNOWN}}} >= 0", f"{_OF} p50"),
            limit=promises.SECONDS,
        ),
        lines(
            "Failed requests by version",
            "Share of requests that failed within 5 minutes; dashed: the objective of 0.1 %, which is meant for all "
            "versions together, and what wakes someone if it stays." + runbook("KanAvailabilityBudgetBurn"),
            "percentunit",
            query(known(f"kan:request_errors:ratio_rate5m{{{VERSION}}}", "version"), _OF),
            limit=promises.FAILED,
            most=0.002,
        ),
        lines(
            "Waiting and computing by version",
            "The 99th percentile within 5 minutes: in the queue, and of one run for a whole batch."
            + runbook("KanLatencyBudgetBurn"),
            "s",
            query(f"kan:queue_duration_seconds:p99_5m{{{_KNOWN}}} >= 0", f"{_OF} waiting"),
            query(f"kan:compute_duration_seconds:p99_5m{{{_KNOWN}}} >= 0", f"{_OF} computing"),
        ),
    ]


def _runs() -> list[Builder[dashboard.Panel]]:
    return [
        lines(
            "Rows per request",
            "How callers use the model: many rows a request are many times cheaper. The histogram's steps are powers "
            "of two, so that p99 is near, not exact.",
            "short",
            query(mean("kan_request_rows", VERSION), "mean"),
            query(quantile(0.99, "kan_request_rows_bucket", VERSION), "p99"),
        ),
        lines(
            "Rows per run by version",
            "The mean within 5 minutes. Near the rows per request under load: callers come one by one.",
            "short",
            query(f"kan:batch_rows:mean5m{{{VERSION}}}", _OF),
        ),
        lines(
            "Batch fill by version",
            "Rows per run, of the most that one run takes, within 5 minutes." + runbook("KanQueueSaturated"),
            "percentunit",
            query(f"kan:batch_fill:ratio5m{{{VERSION}}}", _OF),
            most=1,
        ),
        lines(
            "Queue by version",
            "Rows waiting, of those that may, on the mean of 5 minutes; the fullest instance. Dashed: 80 %, and full."
            + runbook("KanQueueSaturated", "KanLoadShed"),
            "percentunit",
            query(f"kan:queue_saturation:ratio5m{{{VERSION}}}", _OF),
            limit=promises.QUEUE,
            most=1,
        ),
    ]


def _life() -> list[Builder[dashboard.Panel]]:
    return [
        answering("Ready by version", VERSION, "version", _OF, width=6),
        lines(
            "Load time",
            "To read, check and warm up a version: the mean of all loads since each instance's start. It adds to a "
            "start, and to the time until a published version answers." + runbook("versions"),
            "s",
            query(
                f"sum by (instance) (kan_model_load_duration_seconds_sum{{{MODEL}}}) "
                f"/ sum by (instance) (kan_model_load_duration_seconds_count{{{MODEL}}})",
                "{{instance}}",
            ),
        ),
        refused(VERSION, "version", _OF, width=6),
        bars(
            lines(
                "Times that another version took over",
                "Counted on each instance; two replicas that follow count two." + runbook("versions"),
                "short",
                query(
                    f"round(sum by (instance) (increase(kan_model_swaps_total{{{MODEL}}}[$__rate_interval])))",
                    "{{instance}}",
                ),
            )
        ),
    ]
