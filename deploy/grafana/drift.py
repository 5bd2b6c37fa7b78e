"""Panels about drift: which columns and answers are distributed otherwise than in training, and where."""

from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from deploy.grafana import promises
from deploy.grafana.panels import lines, query
from deploy.grafana.promises import runbook
from deploy.grafana.queries import VERSION

_COLUMN, _OUTPUT = "{{version}} {{column}}", "{{version}} {{output}}"
_EMPTY = "Fewer than 1,000 rows, or no histograms"


def drift() -> list[Builder[dashboard.Panel]]:
    """A line of four panels."""
    return [_of_columns(), _of_answers(), _outside(), _cells()]


def _of_columns() -> timeseries.Panel:
    return lines(
        "Drift of columns",
        "The population stability index of each column over an hour, from 1,000 rows on: 0 as in training, about "
        "0.9 for a shift by one standard deviation. Dashed: where a ticket is written." + runbook("KanColumnDrift"),
        "short",
        query(f"kan:column_drift:psi1h{{{VERSION}}}", _COLUMN),
        limit=promises.DRIFT,
        most=0.3,
        empty=_EMPTY,
    )


def _of_answers() -> timeseries.Panel:
    return lines(
        "Drift of answers",
        "The same of the answers: of a regression by target, of a classification by the probabilities of each class."
        + runbook("KanAnswerDrift"),
        "short",
        query(f"kan:answer_drift:psi1h{{{VERSION}}}", _OUTPUT),
        limit=promises.DRIFT,
        most=0.3,
        empty=_EMPTY,
    )


def _outside() -> timeseries.Panel:
    return lines(
        "Rows unlike training",
        "Share of the rows of 5 minutes that lie outside the training range, or where training had no row, by column."
        + runbook("KanColumnDrift"),
        "percentunit",
        query(
            f'sum by (version, column) (kan:column_share:ratio5m{{{VERSION},cell=~"below|above|empty"}})',
            _COLUMN,
        ),
        empty=_EMPTY,
    )


def _cells() -> timeseries.Panel:
    return lines(
        "Cells that moved most",
        "The share of the rows of 5 minutes minus the share in training: the ten cells that gained most. They say "
        "where a column that drifts has moved to." + runbook("KanColumnDrift"),
        "percentunit",
        query(
            f"topk(10, kan:column_share:ratio5m{{{VERSION}}} - kan:column_expected_share:max{{{VERSION}}})",
            f"{_COLUMN}: {{{{cell}}}}",
        ),
        empty=_EMPTY,
    )
