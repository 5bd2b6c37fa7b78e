"""Sections of the dashboard Serving about what answers: versions, processes, and Envoy before them."""

from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from deploy.grafana import promises
from deploy.grafana.panels import bars, lines, query
from deploy.grafana.promises import runbook
from deploy.grafana.queries import (
    ALL,
    CALLERS,
    ENVOY,
    MODEL,
    OF_VERSION,
    PROCESS,
    REQUESTS,
    SHARES,
    came_up,
    quantile,
    rate,
)
from deploy.grafana.tables import column, now, rows
from deploy.grafana.versions import answering, refused

# That another version took over is counted for the model.
_OF_MODEL = f'{MODEL},instance=~"$instance"'


def versions() -> list[Builder[dashboard.Panel]]:
    """What answers, since when, and what was not taken."""
    runs = rows(
        "What runs",
        "Replicas, with the time since their start. Those that differ are in the midst of a rollout, or forgotten by "
        "it. Provider: where their models run; an instance of two lines has some on the CPU and some on a GPU."
        + runbook("KanInstanceRestarting", "KanReplicasDiffer"),
        "short",
        [
            now(
                "sum by (instance, version, onnxruntime, provider) ("
                f"(time() - process_start_time_seconds{{{PROCESS}}}) * on (job, instance) group_right () "
                "(group by (job, instance, provider) (kan_model_info) "
                "* on (job, instance) group_left (version, onnxruntime) kan_build_info "
                # An instance without a model runs nowhere.
                "or on (job, instance) kan_build_info))"
            )
        ],
        {
            "instance": "Instance",
            "version": "kan-serve",
            "onnxruntime": "onnxruntime",
            "provider": "Provider",
            "Value": "Up for",
        },
        width=8,
        height=7,
    )
    return [
        answering("Versions that answer", ALL, "model, version", OF_VERSION, width=8),
        bars(
            lines(
                "Versions that took over",
                "Times that another version became a model's latest, counted on each instance. They are marks on "
                "every other panel too: did anything change there?",
                "short",
                query(
                    f"round(sum by (model) (increase(kan_model_swaps_total{{{_OF_MODEL}}}[$__rate_interval])))",
                    "{{model}}",
                ),
                width=4,
            )
        ),
        refused(ALL, "model, version", OF_VERSION, width=4),
        column(column(runs, "Up for", "dtdurations", width=90), "Instance", "string", width=125),
    ]


def instances() -> list[timeseries.Panel]:
    """What each process uses."""
    return [
        lines(
            "Requests by instance",
            "Requests answered a second. One that gets far less than the others: its health check fails, or callers "
            "hold connections to the others." + runbook("KanEnvoyHostUnhealthy"),
            "reqps",
            query(rate("kan_requests_total", f"{ALL},{REQUESTS}", "instance"), "{{instance}}"),
        ),
        lines(
            "CPU",
            "Cores that each process uses. Near 1 a process of one event loop is full: add replicas."
            + runbook("KanLatencyBudgetBurn"),
            "short",
            query(rate("process_cpu_seconds_total", PROCESS, "instance"), "{{instance}}"),
            most=1,
        ),
        lines(
            "Memory",
            "Resident memory of each process. What grows for days and never falls is a leak; near the container's "
            "limit (1,536 MiB in compose) the process is killed." + runbook("KanInstanceRestarting"),
            "bytes",
            query(f"sum by (instance) (process_resident_memory_bytes{{{PROCESS}}})", "{{instance}}"),
        ),
        lines(
            "File descriptors",
            "Open, of those that may be; each connection is one. At 100 % nobody can connect."
            + runbook("KanFileDescriptorsLow"),
            "percentunit",
            query(f"sum by (instance) (process_open_fds{{{PROCESS}}} / process_max_fds{{{PROCESS}}})", "{{instance}}"),
            limit=promises.DESCRIPTORS,
            most=1,
        ),
    ]


def envoy() -> list[timeseries.Panel]:
    """The way in, as it sees callers and replicas."""
    return [
        lines(
            "Replicas that Envoy sees",
            "Those it knows of, and those of them that pass its health check and get calls."
            + runbook("KanEnvoyNoHealthyHost", "KanEnvoyHostUnhealthy"),
            "short",
            query(f"max(envoy_cluster_membership_healthy{{{ENVOY}}})", "healthy"),
            query(f"max(envoy_cluster_membership_total{{{ENVOY}}})", "known"),
        ),
        lines(
            "Answers to callers",
            "By number of gRPC's status: 0 is OK, 14 UNAVAILABLE, 8 RESOURCE_EXHAUSTED, 4 DEADLINE_EXCEEDED. Failures "
            "that Requests by status has not are Envoy's own: it had no replica to ask." + runbook("KanCallersFail"),
            "reqps",
            query(came_up("envoy_cluster_grpc_calls_total", ENVOY, "grpc_code"), "status {{grpc_code}}"),
        ),
        lines(
            "Calls tried again",
            "Calls a second that a replica did not answer and that were sent to another one; those that went well "
            "then; those given up; connections that could not be made."
            + runbook("KanEnvoyHostUnhealthy", "KanInstanceRestarting"),
            "reqps",
            query(rate("envoy_cluster_upstream_rq_retry", ENVOY), "tried again"),
            query(rate("envoy_cluster_upstream_rq_retry_success", ENVOY), "then answered"),
            query(rate("envoy_cluster_upstream_rq_retry_limit_exceeded", ENVOY), "given up"),
            query(rate("envoy_cluster_upstream_cx_connect_fail", ENVOY), "no connection"),
        ),
        lines(
            "Latency at Envoy",
            "From a call's arrival at Envoy to its end there, retries and streams as a whole among them. Far above the "
            "latency inside the servers: the network, or callers who read slowly.",
            "ms",
            *(query(quantile(share, "envoy_http_downstream_rq_time_bucket", CALLERS), name) for share, name in SHARES),
        ),
    ]
