"""The dashboard Serving: is it well, and where does it hurt."""

from grafana_foundation_sdk.models import dashboard

from deploy.grafana import boards, instances, overview, workload


def serving() -> dashboard.Dashboard:
    """The whole dashboard."""
    return boards.board(
        boards.SERVING,
        "Serving",
        "Whether kan-serve is well, in its first line; what it does and where it hurts, below.",
        [boards.MODEL, boards.VERSION, boards.INSTANCE],
        [
            ("", "", [*overview.tiles(), *overview.first()]),
            ("Traffic", "", workload.traffic()),
            ("Latency", "", workload.latency()),
            ("Batches and queue", "", workload.queue()),
            ("Versions", "", instances.versions()),
            ("Instances", "", instances.instances()),
            ("Envoy (where it is the way in, as in compose)", "", instances.envoy()),
        ],
    )
