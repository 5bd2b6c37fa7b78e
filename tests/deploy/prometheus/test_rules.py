"""The rules as text and by promtool: what they compute, when they fire, and that nothing they name is made up."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from prometheus_client.utils import floatToGoString

from service.metrics.drift.cells import LEAST_SHARE
from service.metrics.metrics import Metrics
from service.metrics.model_metrics import SECONDS
from service.metrics.shared.processes import WorkerCounts
from service.rpc.status import Code
from tests.kit.models.training_rows import manifest_of
from tests.kit.server.programs import find_program

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "prometheus"
RULE_FILES = sorted((FOLDER / "rules").glob("*.yaml"))
CASE_FILES = sorted((FOLDER / "tests").glob("*.yaml"))
OPERATIONS = ROOT / "docs" / "operations.md"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"

# What is not ours: of Prometheus, Alertmanager and Envoy.
OTHERS = {
    "up",
    "prometheus_rule_evaluation_failures_total",
    "alertmanager_notifications_failed_total",
    "envoy_cluster_membership_healthy",
    "envoy_cluster_membership_total",
    "envoy_cluster_grpc_calls_total",
    "envoy_server_uptime",
    "envoy_envoy_overload_actions_reset_high_memory_stream_count",
}


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run() -> Run:
    """Runs a program to its end; call it with its name and its arguments."""
    return lambda name, *arguments: subprocess.run(
        [find_program(name), *arguments], capture_output=True, text=True, timeout=100
    )


def _rules(kind: str) -> list[dict[str, Any]]:
    """Every rule of a kind, "alert" or "record", of every file."""
    groups = [group for file in RULE_FILES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def _names(kind: str) -> set[str]:
    return {rule[kind] for rule in _rules(kind)}


def _metrics_in(expression: str) -> set[str]:
    """Names of metrics in an expression: words with no parenthesis after them, outside selectors and label lists."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]', "", expression)
    bare = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    words = re.findall(r"(?<![\w:.])([a-z_][\w:]*)\b(?!\s*\()", bare)
    return set(words) - {"and", "or", "unless", "by", "bool", "offset"}


def test_configuration_and_rules_are_valid(run: Run) -> None:
    """Prometheus' own checker takes the configuration, and its linter finds no rule twice."""
    configuration = run("promtool", "check", "config", "--lint=all", "--lint-fatal", FOLDER / "prometheus.yml")
    assert configuration.returncode == 0, configuration.stdout + configuration.stderr
    for file in RULE_FILES:
        assert f"Checking {file}" in configuration.stdout


@pytest.mark.parametrize("file", CASE_FILES, ids=lambda file: file.stem)
def test_rules_give_what_their_cases_say(run: Run, file: Path) -> None:
    """Alerts fire and stay silent, with these words, and ratios are these numbers, by Prometheus' own engine."""
    result = run("promtool", "test", "rules", file)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    """An alert that cannot fire, or cannot be silent, is worse than none."""
    cases = [
        case
        for file in CASE_FILES
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test.get("alert_rule_test", [])
    ]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == _names("alert")
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == _names("alert")


@pytest.mark.parametrize("rule", _rules("alert"), ids=lambda rule: rule["alert"])
def test_an_alert_tells_a_person_what_there_is_to_know(rule: dict[str, Any]) -> None:
    """Whom to wake, what is wrong, how wrong in numbers, what to do first; it waits, so that a blip wakes nobody."""
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert re.fullmatch(r"\d+m", rule["for"])
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert re.search(r"\{\{ \$value|\b0 targets", annotations["description"])
    # The runbook is a file of the repository, which a pager cannot open.
    assert re.search(r"\. First, .*\.$", annotations["description"])
    # The path alone, or after an address where a clone has one; or the alert's page where the site has one.
    place = rf"(https://\S+/)?docs/operations\.md#{rule['alert'].lower()}|https://\S+/runbooks/{rule['alert'].lower()}/"
    assert re.fullmatch(place, annotations["runbook_url"])


def test_the_runbook_has_a_section_for_each_alert_and_for_nothing_else() -> None:
    """The link of an alert leads somewhere at three in the morning."""
    section = re.split(r"(?m)^## ", OPERATIONS.read_text().split("\n## Alerts\n")[1])[0]
    assert set(re.findall(r"(?m)^### (.*)$", section)) == _names("alert")


def test_every_metric_that_a_rule_names_is_there() -> None:
    """A rule about a metric that nobody exports would be silent for ever."""
    recorded = _names("record")
    exported = set(_exported())
    for rule in (*_rules("record"), *_rules("alert")):
        unknown = _metrics_in(rule["expr"]) - recorded - exported - OTHERS
        assert not unknown, f"{rule.get('alert') or rule['record']} names {unknown}"
    named = set().union(*(_metrics_in(rule["expr"]) for rule in (*_rules("record"), *_rules("alert"))))
    assert named >= OTHERS | {"kan_requests_total", "kan_queue_limit_rows", "kan_model_ready"}


def test_recorded_names_say_level_metric_and_operation() -> None:
    """As Prometheus advises, so that a reader knows a rule's result from a scraped metric, and its labels."""
    for name in _names("record"):
        assert re.fullmatch(r"kan(_model|_instance|_service|_envoy)?:[a-z_]+:[a-z0-9_]+", name), name


def test_label_values_in_rules_are_those_that_the_server_gives() -> None:
    """Codes, reasons and the bucket's edge of 50 ms, as the server writes them."""
    text = "\n".join(file.read_text() for file in RULE_FILES)
    (codes,) = set(re.findall(r'\bcode=~"([^"]*)"', text))
    assert set(codes.split("|")) <= {code.name for code in Code}
    (numbers,) = set(re.findall(r'grpc_code=~"([^"]*)"', text))
    # The replicas tell which calls exceeded a quota; Envoy does not, and never refuses by this code itself.
    assert {Code(int(number)).name for number in numbers.split("|")} == set(codes.split("|")) - {"RESOURCE_EXHAUSTED"}
    assert set(re.findall(r'reason="(\w+)"', text)) <= set(Metrics().model("", "").rejections)
    edges = {floatToGoString(edge) for edge in (*SECONDS, float("inf"))}  # type: ignore[no-untyped-call]
    assert {"0.05", "+Inf"} == set(re.findall(r'le="([^"]*)"', text)) <= edges


def test_failed_requests_are_counted_by_the_interval_of_their_group() -> None:
    """Burn rates count as sum of rates x seconds between them: these must be the seconds of the group."""
    groups = yaml.safe_load((FOLDER / "rules" / "recording.yaml").read_text())["groups"]
    (interval,) = {group["interval"] for group in groups if group["name"] in ("kan-objectives", "kan-callers")}
    factors = [factor for rule in _rules("alert") for factor in re.findall(r"\]\) \* (\d+) (?:>=|<)", rule["expr"])]
    assert len(factors) == 12
    assert {f"{factor}s" for factor in factors} == {interval}


def test_drift_counts_rows_by_the_window_of_its_rates() -> None:
    """1,000 rows a window: a rate over 300 seconds, or sums of a rate every 60 seconds, the interval of the group."""
    text = (FOLDER / "rules" / "drift.yaml").read_text()
    intervals = {group["name"]: group.get("interval") for group in yaml.safe_load(text)["groups"]}
    assert intervals["kan-drift"] == "60s"
    for rule in _rules("record"):
        if "999.5" in rule["expr"]:
            seconds = "60" if "sum_over_time" in rule["expr"] else "300"
            assert rule["expr"].endswith(f"> 999.5 / {seconds})"), rule["record"]
    assert set(re.findall(r"clamp_min\([\w:]+, ([\d.]+)\)", text)) == {str(LEAST_SHARE)}


def test_alertmanager_takes_its_configuration(run: Run) -> None:
    """Its own checker does, and pages and tickets go to the receiver."""
    checked = run("amtool", "check-config", ALERTMANAGER)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for severity in ("page", "ticket"):
        routed = run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", f"severity={severity}")
        assert routed.stdout.strip() == "on-call"


def test_inhibition_names_alerts_that_there_are() -> None:
    """A name that no alert has would keep nothing back, in silence."""
    text = ALERTMANAGER.read_text()
    names = {name for names in re.findall(r'alertname=~?"([^"]*)"', text) for name in names.split("|")}
    assert len(names) > 5
    assert names <= _names("alert")


def test_the_webhook_is_a_secret_of_compose() -> None:
    """The file that Alertmanager reads is the one that compose mounts, and a clone has one to start with."""
    configuration = yaml.safe_load(ALERTMANAGER.read_text())
    (hook,) = (hook for receiver in configuration["receivers"] for hook in receiver["webhook_configs"])
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    (secret,) = compose["services"]["alertmanager"]["secrets"]
    assert hook["url_file"] == f"/run/secrets/{secret}"
    assert (ROOT / "deploy" / compose["secrets"][secret]["file"]).read_text().startswith("http://")


def _exported() -> Iterator[str]:
    """Names of every sample that a server can show."""
    metrics = Metrics()
    model = metrics.model("digits", "1")
    rows = np.zeros((1500, 1))
    model.served = model.served_by(manifest_of(rows, rows))
    assert model.served is not None
    model.served.keep(rows.astype(np.float32), rows)
    model.limits(batch_rows=1, queue_rows=1)
    model.request("kan_api", "OK", 0.001)
    metrics.model_loaded("digits", 1)
    metrics.model_ready("digits", 1, ready=True)
    metrics.model_refused("digits", 2, "checksum")
    metrics.access.watch_files("tokens", SimpleNamespace(is_current=True))
    metrics.access.watch_certificate(lambda: 0.0)
    workers = WorkerCounts(lambda: 2, 2, lambda: 0)
    for family in (*metrics.registry.collect(), *workers.collect()):
        for sample in family.samples:
            yield sample.name
