"""The rules in a real Prometheus that scrapes real servers, and alerts that reach a person through Alertmanager."""

import json
import queue
import shutil
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from service.client import Client
from service.client.errors import Unavailable
from tests.kit.models.repository import cut_short, write_version
from tests.kit.server.kan_serve import KanServe
from tests.kit.server.programs import find_program, running
from tests.kit.waiting import wait_for

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(240)]

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yaml"))
REQUESTS, ROWS = 20, 8

Start = Callable[[str], AbstractContextManager[str]]


class Webhook:
    """Who is told of alerts: an HTTP server that keeps what Alertmanager sends."""

    def __init__(self) -> None:
        self._told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._alerts: list[dict[str, Any]] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook._told.put(json.loads(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"

    def __enter__(self) -> "Webhook":
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def alerts(self) -> list[dict[str, Any]]:
        """Every alert of every message until now."""
        while not self._told.empty():
            self._alerts += self._told.get()["alerts"]
        return self._alerts

    def named(self, name: str, status: str) -> list[dict[str, Any]]:
        """Those of a name and status."""
        return [each for each in self.alerts() if (each["labels"]["alertname"], each["status"]) == (name, status)]


@dataclass(frozen=True)
class Watched:
    """A Prometheus and an Alertmanager, and who is told."""

    prometheus: str
    alertmanager: str
    webhook: Webhook

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers now."""
        answer = _fetch(f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        return list(answer["data"]["result"]) if answer else []

    def rules(self) -> list[dict[str, Any]]:
        """Every rule as Prometheus has it."""
        answer = _fetch(f"{self.prometheus}/api/v1/rules")
        return [rule for group in answer["data"]["groups"] for rule in group["rules"]] if answer else []

    def told(self, name: str, status: str = "firing") -> dict[str, Any]:
        """The first alert of this name and status that reaches the webhook."""
        alert: dict[str, Any] = wait_for(lambda: self.webhook.named(name, status), f"{name}, {status}")[0]
        return alert

    def keeps_back(self, name: str) -> None:
        """Wait until Alertmanager keeps this alert back, since another one says it all."""

        def kept() -> bool:
            alerts = _fetch(f"{self.alertmanager}/api/v2/alerts")
            return any(each["labels"]["alertname"] == name and each["status"]["inhibitedBy"] for each in alerts)

        wait_for(kept, f"{name} to be kept back")


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """Who is told of alerts."""
    with Webhook() as told:
        yield told


@pytest.fixture
def alertmanager(webhook: Webhook, tmp_path: Path) -> Iterator[str]:
    """Alertmanager as deployed, telling the webhook at once; its address."""
    configuration = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    (tmp_path / "url").write_text(f"{webhook.url}\n")
    configuration["receivers"][0]["webhook_configs"][0]["url_file"] = str(tmp_path / "url")
    for route in (configuration["route"], *configuration["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    file = tmp_path / "alertmanager.yml"
    file.write_text(yaml.safe_dump(configuration))
    with running(
        find_program("prometheus-alertmanager"),
        f"--config.file={file}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        "--cluster.listen-address=",
        "--web.listen-address=127.0.0.1:0",
        log=tmp_path / "alertmanager.log",
    ) as line_with:
        # With port 0, only its log says which port it got.
        yield line_with('msg="Listening on"').split("address=")[1].split()[0]


@pytest.fixture
def watched(start_prometheus: Start, alertmanager: str, webhook: Webhook) -> Iterator[Watched]:
    """Prometheus as deployed, but for addresses and times, telling Alertmanager."""
    with start_prometheus(alertmanager) as prometheus:
        yield Watched(f"http://{prometheus}", f"http://{alertmanager}", webhook)


def _fetch(address: str) -> Any:
    """JSON from an address; {} where it does not answer yet."""
    try:
        with urllib.request.urlopen(address, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 503:  # Prometheus listens before it is ready.
                raise AssertionError(f"{address}: {error.code} {error.read().decode()}") from None
        return {}


def _expressions() -> list[str]:
    """Of every rule, as written."""
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def test_all_rules_work_on_what_real_servers_export(servers: list[KanServe], envoy: Any, watched: Watched) -> None:
    """After a short load every recording rule has data, no expression fails, and where all is well no alert fires."""
    random = np.random.default_rng(1)
    # With either front end the counters that alerts rest on are there before the first call.
    for server in servers:
        birth = 'kan_requests_total{code="INTERNAL",model="mean",protocol="kan_api",version="1"} 0.0'
        assert birth in server.get("/metrics")[1]

    def without_data() -> set[str]:
        for address in (*(server.grpc for server in servers), envoy.callers):
            with Client(address) as client:
                for _ in range(REQUESTS):
                    client.predict("mean", random.normal(size=(ROWS, 4)).astype(np.float32))
        recorded = [rule["name"] for rule in watched.rules() if rule["type"] == "recording"]
        assert len(recorded) > 30 or not recorded
        return {name for name in recorded if not watched.query(name)} if recorded else {"all"}

    wait_for(lambda: not without_data(), "data of every recording rule")
    for expression in _expressions():
        watched.query(expression)

    def evaluated() -> list[dict[str, Any]]:
        rules = watched.rules()
        return [] if any(rule["health"] == "unknown" for rule in rules) else rules

    rules = wait_for(evaluated, "an evaluation of every rule")
    assert len(rules) == len(_expressions())
    assert [rule for rule in rules if rule["health"] != "ok" or rule.get("lastError")] == []
    (fill,) = watched.query("kan:batch_fill:ratio5m")
    assert fill["metric"] == {"__name__": "kan:batch_fill:ratio5m", "model": "mean", "version": "1"}
    assert float(fill["value"][1]) == pytest.approx(ROWS / 512)

    def settled() -> bool:  # a scrape that is late on a busy machine is one instance less, until the next one
        wanted = {
            "kan_service:instances_up:count": ["2"],
            "kan_queue_limit_rows": ["8192", "8192"],
            'envoy_cluster_membership_healthy{envoy_cluster_name="kan-serve"}': ["2"],
        }
        return all([each["value"][1] for each in watched.query(name)] == values for name, values in wanted.items())

    wait_for(settled, "two servers, their queues, and both behind Envoy")
    assert watched.query('ALERTS{alertstate="firing"}') == []


def test_a_refused_version_reaches_a_person_and_so_does_its_end(models: Path, watched: Watched) -> None:
    """The message says which version, why, and where to read on; once the version is gone so is the alert."""
    write_version(models, "affine", 2, "mean", spoil=cut_short)
    alert = watched.told("KanVersionRefused")
    labels = {"model": "mean", "version": "2", "reason": "checksum", "severity": "ticket"}
    assert alert["labels"] == {"alertname": "KanVersionRefused", **labels}
    assert alert["annotations"]["summary"] == "Version 2 of model mean was refused: checksum"
    assert alert["annotations"]["description"].startswith("Instances that refuse mean/2 (checksum): ")
    assert alert["annotations"]["runbook_url"] == "docs/operations.md#kanversionrefused"
    shutil.rmtree(models / "mean" / "2")
    watched.told("KanVersionRefused", "resolved")
    assert {each["labels"]["alertname"] for each in watched.webhook.alerts()} == {"KanVersionRefused"}


def test_one_instance_gone_is_a_ticket_and_both_are_a_page(
    servers: list[KanServe], envoy: Any, watched: Watched
) -> None:
    """What follows from another alert is kept back: one message says that the service is down; what callers then get
    from Envoy alone, which no replica counts, is counted there.
    """
    first, second = servers
    first.process.kill()
    alert = watched.told("KanInstanceDown")
    assert (alert["labels"]["severity"], alert["labels"]["instance"]) == ("ticket", first.http)
    assert alert["annotations"]["summary"] == f"An instance of kan-serve cannot be scraped: {first.http}"
    watched.keeps_back("KanTooFewInstances")
    unhealthy = watched.told("KanEnvoyHostUnhealthy")
    assert ": 1. The others carry their load. First, " in unhealthy["annotations"]["description"]
    second.process.kill()
    alert = watched.told("KanAllInstancesDown")
    assert alert["labels"] == {"alertname": "KanAllInstancesDown", "job": "kan-serve", "severity": "page"}
    assert alert["annotations"]["runbook_url"] == "docs/operations.md#kanallinstancesdown"
    watched.keeps_back("KanInstanceDown")

    def failures_of_envoy() -> list[dict[str, Any]]:
        with Client(envoy.callers) as client, pytest.raises(Unavailable):
            client.predict("mean", np.ones((ROWS, 4), np.float32))
        return watched.query("kan_envoy:request_errors:rate5m > 0")

    (failures,) = wait_for(failures_of_envoy, "failures that Envoy makes")
    assert failures["metric"] == {"__name__": "kan_envoy:request_errors:rate5m", "job": "kan-envoy"}
    watched.keeps_back("KanCallersFail")
    watched.keeps_back("KanEnvoyNoHealthyHost")
