"""Drift of a real table: a shifted column makes its own alert fire, and rows as in training make none."""

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import json_format
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model.onnx_runtime import open_session
from service.client import Client
from service.metrics.drift.served_rows import CountedRows, ServedRows
from tests.kit.server.kan_serve import KanServe
from tests.kit.server.programs import find_program
from tests.kit.waiting import wait_for
from tests.kit.watcher import Quiet
from training.data.dataset import prepare
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.recipe.config import Recipe, parse_recipe

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(400)]

RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "rules" / "drift.yaml"
RECIPE = """
[model]
name = "diabetes"
[data]
source = "sklearn:diabetes"
[task]
kind = "regression"
[network]
hidden = [2]
[fit]
grids = [3]
steps = 15
[lowering]
tune_for = []
"""
STREAMS, ROWS = 200, 1000
# promtool takes 10,000 samples a query.
STREAMS_A_TEST = 10
# Seven minutes: a window of five, and the alert's wait.
MINUTES = 7

Rows = NDArray[np.float32]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a network that 442 patients trained, as `kan-train run` publishes it."""
    folder = tmp_path_factory.mktemp("diabetes")
    train(Run(_recipe(), folder / "models", RunFolder(folder / "run")), Quiet())
    return folder / "models"


@pytest.fixture(scope="module")
def table() -> Rows:
    """All rows of the table, those that trained and those that did not: ``[442, 10]``."""
    return prepare(_recipe()).x.astype(np.float32)


def _drawn(table: Rows, random: np.random.Generator, shifted: int | None = None, rows: int = ROWS) -> Rows:
    """Rows of the table, with replacement; one column shifted by one standard deviation of its own."""
    drawn = table[random.integers(len(table), size=rows)]
    if shifted is not None:
        drawn[:, shifted] += table[:, shifted].std()
    return drawn


def _recipe() -> Recipe:
    return parse_recipe(RECIPE, folder=Path(), name="diabetes.toml")


class Streams:
    """Series of many streams for promtool: each stream is a model, whose counters grow by its rows in five minutes."""

    def __init__(self, folder: Path) -> None:
        self._manifest = ModelManifest()
        text = (folder / "diabetes" / "1" / "manifest.json").read_text()
        json_format.Parse(text, self._manifest)
        self._session = open_session(onnx.load(folder / "diabetes" / "1" / "model.onnx"))
        self.columns = [feature.name for feature in self._manifest.features]
        self._series: list[list[dict[str, str]]] = []
        self._count = 0

    def add(self, model: str, rows: Rows) -> None:
        """The counts that a server shows after these rows."""
        if self._count % STREAMS_A_TEST == 0:
            self._series.append([])
        self._count += 1
        served = ServedRows.of(self._manifest)
        assert served is not None
        served.keep(rows, self._session.run(rows)[0])
        columns, answers = served.read()
        self._add("kan_model_column", "column", model, columns)
        self._add("kan_model_answer", "output", model, answers)
        self._constant(f'kan_model_ready{{model="{model}", version="1"}}', 1)

    def _add(self, prefix: str, kind: str, model: str, counted: Iterable[CountedRows]) -> None:
        for each in counted:
            assert each.counted.expected is not None
            assert each.index is not None
            labels = f'model="{model}", version="1", {kind}="{each.counted.name}"'
            self._constant(f"{prefix}_psi{{{labels}}}", each.index)
            cells = zip(each.counted.labels, each.rows.tolist(), each.counted.expected.tolist(), strict=True)
            for cell, count, share in cells:
                of_cell = f'{labels}, cell="{cell}"'
                self._series[-1].append(
                    {"series": f"{prefix}_rows_total{{{of_cell}}}", "values": f"0+{count / 5}x{MINUTES}"}
                )
                self._constant(f"{prefix}_expected_share{{{of_cell}}}", share)

    def _constant(self, series: str, value: float) -> None:
        self._series[-1].append({"series": series, "values": f"{value!r}x{MINUTES}"})

    def check(self, folder: Path, expected: dict[str, list[dict[str, Any]]]) -> None:
        """Have promtool put the streams through the rules, ten at once, and compare what expressions give."""
        tests = [
            {"expr": expression, "eval_time": f"{MINUTES}m", "exp_samples": samples}
            for expression, samples in expected.items()
        ]
        document = {
            "rule_files": [str(RULES)],
            "evaluation_interval": "60s",
            "group_eval_order": ["kan-drift", "kan-drift-days", "kan-drift-alerts"],
            "tests": [
                {"interval": "60s", "input_series": series, "promql_expr_test": tests} for series in self._series
            ],
        }
        file = folder / "streams.yaml"
        file.write_text(json.dumps(document))  # which is YAML, and quick to write
        command = [find_program("promtool"), "test", "rules", str(file)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stdout + result.stderr


def test_of_200_streams_as_in_training_none_alerts(models: Path, table: Rows, tmp_path: Path) -> None:
    """Of 1,000 rows each, drawn from the whole table, through the rules as deployed: columns and answers alike.

    Two of 200 would be allowed. For each stream and column the rules give the index that a replica shows.
    """
    streams, random = Streams(models), np.random.default_rng(0)
    for number in range(STREAMS):
        streams.add(f"stream {number}", _drawn(table, random))
    everything = STREAMS_A_TEST * len(streams.columns)
    streams.check(
        tmp_path,
        {
            'ALERTS{alertname=~"Kan.*Drift"}': [],
            "count(kan:column_drift:psi5m)": [{"labels": "{}", "value": everything}],
            "count(kan:answer_drift:psi5m)": [{"labels": "{}", "value": STREAMS_A_TEST}],
            "count(abs(kan:column_drift:psi5m - kan_model_column_psi) > 1e-6)": [],
            "count(abs(kan:column_drift:psi1d - kan_model_column_psi) > 1e-6)": [],
            "count(abs(kan:answer_drift:psi1h - kan_model_answer_psi) > 1e-6)": [],
        },
    )


def test_each_column_shifted_by_one_deviation_alerts_alone(models: Path, table: Rows, tmp_path: Path) -> None:
    """Ten streams of 1,000 rows, each with another column shifted: that column's alert fires, and no other column's."""
    streams, random = Streams(models), np.random.default_rng(1)
    for place, column in enumerate(streams.columns):
        streams.add(f"shifted {column}", _drawn(table, random, place))
    firing = [{"labels": f'{{model="shifted {column}", column="{column}"}}', "value": 1} for column in streams.columns]
    streams.check(
        tmp_path, {'count by (model, column) (ALERTS{alertname="KanColumnDrift", alertstate="firing"})': firing}
    )


def test_a_real_prometheus_names_the_column_that_shifts(
    servers: list[KanServe],
    start_prometheus: Callable[[], AbstractContextManager[str]],
    table: Rows,
    models: Path,
) -> None:
    """Two servers, one of each front end; windows are 10, 20 and 40 seconds in place of 5 minutes, 1 hour and 1 day.

    Rows as in training fire nothing while every window fills twice; then one column shifts by one standard deviation.
    Its alert fires within the shortest window and the alert's wait, and after as many rows as before no other column's.
    """
    columns = Streams(models).columns
    random, shifted = np.random.default_rng(2), columns.index("bmi")
    with start_prometheus() as address, Client(servers[0].grpc) as first, Client(servers[1].grpc) as second:

        def query(expression: str) -> list[dict[str, Any]]:
            url = f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
            with urllib.request.urlopen(url, timeout=60) as response:
                return list(json.load(response)["data"]["result"])

        def alerts(state: str = "firing|pending") -> set[tuple[str, str]]:
            found = query(f'ALERTS{{alertname=~"Kan.*Drift", alertstate=~"{state}"}}')
            return {(each["metric"]["alertname"], each["metric"].get("column", "")) for each in found}

        sent = 0

        def serve(place: int | None = None) -> None:
            nonlocal sent
            for client in (first, second):
                client.predict("diabetes", _drawn(table, random, place, 100))
                sent += 100

        def filled() -> bool:
            serve()
            assert alerts() == set()
            rows = query('sum(increase(kan_model_column_rows_total{column="bmi"}[40s]))')
            values = [query(f"kan:column_drift:psi{window}") for window in ("5m", "1h", "1d")]
            return all(len(found) == len(columns) for found in values) and float(rows[0]["value"][1]) > 4000

        wait_for(filled, "each window to fill")
        as_in_training = sent
        for _ in range(as_in_training // 200):
            serve()
            assert alerts() == set()

        def fires() -> bool:
            serve(shifted)
            assert {column for name, column in alerts() if name == "KanColumnDrift"} <= {"bmi"}
            return ("KanColumnDrift", "bmi") in alerts("firing")

        wait_for(fires, "the alert of bmi")
        sent = 0
        while sent < as_in_training:
            serve(shifted)
            assert {column for name, column in alerts() if name == "KanColumnDrift"} == {"bmi"}
        (replica,) = {
            each["metric"]["column"] for each in query("kan_model_column_psi > 0.25")
        }  # each replica says the same
        assert replica == "bmi"
