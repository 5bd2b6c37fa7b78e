"""The metrics of /metrics, from the code that exports them."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from docs.generate.text.tables import code, table
from service.metrics.metrics import Metrics
from service.metrics.shared.processes import WorkerCounts

_HEAD = """# Metrics

What `/metrics` holds, beside Prometheus' usual `process_*` and `python_info`.
[Running kan-serve](../operations.md#metrics) says what to look at in each, and the [runbooks](../runbooks/index.md)
what to do.
"""


def page() -> str:
    """A table of all of them."""
    rows = [
        [code(name), metric.type, ", ".join(map(code, labels)), metric.documentation] for name, metric, labels in _all()
    ]
    return f"{_HEAD}\n{table(['metric', 'type', 'labels', 'help'], rows)}"


def _all() -> Iterator[tuple[str, Metric, list[str]]]:
    """Each metric by the name that PromQL uses, with its labels: of a version that has done everything once."""
    metrics = Metrics()
    model = metrics.model("digits", "3")
    model.request("kan_api", "OK", 0.001)
    model.accepted(2)
    model.queued(5)
    model.waited(0.0001)
    model.ran(7, 0.0002)
    model.limits(batch_rows=512, queue_rows=8192)
    model.rejected("overload")
    model.provider = "cpu"
    metrics.model_ready("digits", 3, ready=True)
    metrics.model_loaded("digits", 0.2)
    metrics.model_refused("digits", 4, "checksum")
    metrics.build_info(version="0", onnxruntime="0")
    for metric in (*metrics.collect(), *WorkerCounts(lambda: 2, 2, lambda: 0).collect()):
        labels = dict.fromkeys(label for sample in metric.samples for label in sample.labels)
        name = metric.name + ("_total" if metric.type == "counter" else "")
        yield name, metric, [label for label in labels if label != "le"]
