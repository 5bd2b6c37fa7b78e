"""Every query of Grafana's dashboards, asked of a real Prometheus that scrapes real servers and Envoy."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.client import Client
from service.client.errors import InvalidInput, NotFound
from tests.kit.models.repository import cut_short, write_version
from tests.kit.models.training_rows import trained_on_normal_rows
from tests.kit.server.kan_serve import KanServe
from tests.kit.waiting import wait_for

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(240)]

BOARDS = sorted((Path(__file__).parents[3] / "deploy" / "grafana" / "dashboards").glob("*.json"))
# As Grafana computes it where a point is drawn for each scrape, 10 s: four scrapes. Here a scrape is 250 ms.
RATE_INTERVAL = "40s"

# Panels and annotations that are empty where all is well, and what fills them.
EMPTY_WHERE_WELL = {
    "Firing alerts": "an alert: a table of what fires",
    "Versions refused": "a refused version: the counter has no series before it is refused",
    "Versions that took over (mark)": "a second version: a mark for each change, and no mark without one",
}


@dataclass(frozen=True)
class Query:
    """PromQL of a dashboard."""

    board: str
    title: str
    expression: str
    legend: str

    def __str__(self) -> str:
        return f"{self.board}: {self.title}: {self.expression}"


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus, asked as Grafana does."""

    address: str

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer; an error of PromQL fails the test."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def series(self, expression: str) -> list[dict[str, str]]:
        """Labels of the series that have a number now."""
        result = self.ask("query", query=expression)["result"]
        return [each["metric"] for each in result if each["value"][1] != "NaN"]

    def values(self, variable: dict[str, Any], chosen: dict[str, str]) -> list[str]:
        """What a variable's list holds: `label_values(selector, label)`, as Grafana asks for it."""
        found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
        assert found is not None
        path = f"label/{found[2]}/values"
        return list(self.ask(path, **{"match[]": substituted(found[1], chosen)}))


@pytest.fixture
def prometheus(start_prometheus: Callable[[], AbstractContextManager[str]]) -> Iterator[Prometheus]:
    """Prometheus as deployed, but for addresses and times."""
    with start_prometheus() as address:
        yield Prometheus(address)


def board(file: Path) -> dict[str, Any]:
    """A dashboard."""
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def queries() -> Iterator[Query]:
    """Every query of every panel and annotation."""
    for file in BOARDS:
        made = board(file)
        for panel in made["panels"]:
            for target in panel.get("targets", []):
                yield Query(file.stem, panel["title"], target["expr"], target.get("legendFormat", ""))
        for mark in made["annotations"]["list"]:
            yield Query(file.stem, f"{mark['name']} (mark)", mark["expr"], mark["textFormat"])


def substituted(expression: str, chosen: dict[str, str]) -> str:
    """An expression with Grafana's variables replaced."""
    values = chosen | {"__rate_interval": RATE_INTERVAL, "__range": "1h"}
    return re.sub(r"\$(\w+)", lambda name: values[name[1]], expression)


def everything() -> dict[str, str]:
    """All of each variable, as its own value says."""
    return {each["name"]: each["allValue"] for file in BOARDS for each in board(file)["templating"]["list"]}


def chosen_one_by_one(prometheus: Prometheus, made: dict[str, Any]) -> dict[str, str]:
    """Every value of each variable's list, chosen by hand: Grafana escapes them and puts `|` between."""
    chosen: dict[str, str] = {}
    for variable in made["templating"]["list"]:
        values = prometheus.values(variable, chosen)
        assert values, variable["name"]
        chosen[variable["name"]] = "(" + "|".join(re.escape(value).replace("\\", "\\\\") for value in values) + ")"
    return chosen


def call(servers: list[KanServe], envoy: Any) -> None:
    """A short load, directly and through Envoy, with some requests that are refused."""
    rows = np.random.default_rng().normal(size=(10, 20, 4)).astype(np.float32)
    for address in (*(server.grpc for server in servers), envoy.callers):
        with Client(address) as client:
            for block in rows:
                client.predict("mean", block)
            with pytest.raises(NotFound):
                client.predict("nobody", rows[0])
            with pytest.raises(InvalidInput):
                client.predict("mean", rows[0, :, :3])


def test_every_query_has_data(models: Path, servers: list[KanServe], envoy: Any, prometheus: Prometheus) -> None:
    """After a short load each gives numbers, but for those that wait for trouble; after trouble these do too."""
    wanted = list(queries())

    def wait_for_all_but(empty: set[str]) -> None:
        without: set[str] = set()

        def settled() -> bool:
            call(servers, envoy)
            without.clear()
            without.update(
                query.title for query in wanted if not prometheus.series(substituted(query.expression, everything()))
            )
            # An alert may fire already: 250 ms between evaluations keep a small machine busy, and requests slow.
            return without | {"Firing alerts"} == empty | {"Firing alerts"}

        try:
            wait_for(settled, "data")
        except AssertionError as error:
            firing = [(each["alertname"], each["alertstate"]) for each in prometheus.series("ALERTS")]
            raise AssertionError(f"without data: {without}; may be: {empty}; alerts: {firing}") from error

    wait_for_all_but(set(EMPTY_WHERE_WELL))
    write_version(models, "affine", 2, "mean", change=trained_on_normal_rows("affine"))
    wait_for(lambda: prometheus.series('kan_model_ready{version="2"} == 1'), "the second version")
    write_version(models, "affine", 3, "mean", spoil=cut_short)
    wait_for_all_but(set())

    # Those of the calls of `call`, and no other code.
    (by_code,) = (query for query in wanted if query.title == "Requests by status")
    assert {series["code"] for series in prometheus.series(substituted(by_code.expression, everything()))} <= {
        *("OK", "NOT_FOUND", "INVALID_ARGUMENT")
    }

    # As the lists at the top offer them, and with legends that say what a line is.
    selections = {file.stem: chosen_one_by_one(prometheus, board(file)) for file in BOARDS}
    assert selections["serving"]["model"] == "(mean)"
    assert selections["serving"]["version"] == "(1|2|3)"
    for query in wanted:
        expression = substituted(query.expression, selections[query.board])
        # An alert may fire a moment later.
        found = wait_for(partial(prometheus.series, expression), f"{query} with {selections[query.board]}")
        for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
            assert all(series.get(label) for series in found), f"{query}: {label} in {found}"
        if query.legend not in ("", "__auto") and "{{" not in query.legend:
            assert len(found) == 1, f"{query}: one name for {len(found)} lines"


def test_columns_of_tables_are_there(servers: list[KanServe], envoy: Any, prometheus: Prometheus) -> None:
    """A table's columns are labels and queries that there are, and its queries have the same labels, to be one row.

    The name of a metric is a label too: rows of two recorded rates with their names stay two rows.
    """
    for file in BOARDS:
        for panel in board(file)["panels"]:
            if panel["type"] == "table" and panel["title"] not in EMPTY_WHERE_WELL:
                letters = [f"Value #{target['refId']}" for target in panel["targets"]]

                def labels(panel: dict[str, Any] = panel) -> list[set[str]]:
                    call(servers, envoy)
                    found = [prometheus.series(substituted(each["expr"], everything())) for each in panel["targets"]]
                    names = [{name for each in some for name in each} for some in found]
                    return names if all(names) else []

                (same,) = {frozenset(each) for each in wait_for(labels, panel["title"])}
                columns = set(panel["transformations"][-1]["options"]["renameByName"])
                assert columns == same | set(letters if len(letters) > 1 else ["Value"])
