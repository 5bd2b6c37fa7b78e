"""The counts of served rows and answers as metric families of Prometheus."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from service.metrics.drift.served_rows import CountedRows, ServedRows

_MODEL = ("model", "version")


def of_served_rows(versions: Sequence[tuple[tuple[str, str], ServedRows]]) -> Iterator[Metric]:
    """Rows by column and cell, answers by output and cell, the shares of training, and the index of the last rows."""
    read = [(labels, served.read()) for labels, served in versions]
    yield from _families("column", "Rows answered", [(labels, columns) for labels, (columns, _) in read])
    yield from _families("output", "Answers", [(labels, answers) for labels, (_, answers) in read])


def _families(kind: str, what: str, counts: Sequence[tuple[tuple[str, str], list[CountedRows]]]) -> Iterator[Metric]:
    prefix = "kan_model_column" if kind == "column" else "kan_model_answer"
    by_cell = (*_MODEL, kind, "cell")
    rows = CounterMetricFamily(f"{prefix}_rows_total", f"{what}, by {kind} and cell.", labels=by_cell)
    expected = GaugeMetricFamily(
        f"{prefix}_expected_share", f"Share of the training rows, by {kind} and cell.", labels=by_cell
    )
    index = GaugeMetricFamily(
        f"{prefix}_psi", "Population stability index of the last 10,000 rows, from 1,000 on.", labels=(*_MODEL, kind)
    )
    for labels, counted in counts:
        for each in counted:
            name, cells = each.counted.name, each.counted.labels
            for cell, count in zip(cells, each.rows.tolist(), strict=True):
                rows.add_metric((*labels, name, cell), count)
            if each.counted.expected is not None:
                for cell, share in zip(cells, each.counted.expected.tolist(), strict=True):
                    expected.add_metric((*labels, name, cell), share)
            if each.index is not None:
                index.add_metric((*labels, name), each.index)
    yield from (rows, expected, index)
