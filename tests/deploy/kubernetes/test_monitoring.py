"""Prometheus finds each pod once, by the rules of compose, and tells the autoscaler what waits in a pod."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.kubernetes import monitoring
from tests.kit.server.programs import find_program

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).parents[3]


def test_rules_are_those_of_compose(overlay: Any, tmp_path: Path) -> None:
    """What is committed is what the generator makes, holds the groups of the rule files, and promtool takes them."""
    assert {path: path.read_text() for path in monitoring.files()} == monitoring.files()
    groups = []
    for name in monitoring.RULE_FILES:
        native = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules" / name).read_text())
        assert overlay.one("PrometheusRule", f"kan-serve-{name.removesuffix('.yaml')}")["spec"] == native
        groups += native["groups"]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups}))
    done = subprocess.run(
        [find_program("promtool"), "check", "rules", str(file)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_pod_is_scraped_once(overlay: Any) -> None:
    """The ServiceMonitor selects one Service, by a port it has; the job is called as the rules and dashboards say."""
    monitor = overlay.one("ServiceMonitor")["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    (service,) = [each for each in overlay.all("Service") if wanted <= each["metadata"]["labels"].items()]
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "kan-serve"
    assert {each["port"] for each in monitor["endpoints"]} <= {port["name"] for port in service["spec"]["ports"]}
    assert [each["path"] for each in monitor["endpoints"]] == ["/metrics"]


def test_the_adapter_gives_the_autoscaler_rows_a_pod(deployment: Any, tmp_path: Path) -> None:
    """In Prometheus' own rule tests the adapter's query is the mean of the rows that wait in a pod, over its models."""
    adapter = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "prometheus-adapter-values.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    metrics = deployment.one("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert [each["pods"]["metric"]["name"] for each in metrics if each["type"] == "Pods"] == [rule["name"]["as"]]
    found = re.match(r"\w+", rule["seriesQuery"])
    assert found is not None
    assert f"| `{found[0]}` | model, version |" in (ROOT / "docs" / "operations.md").read_text()
    matchers, group = 'namespace="kan-serving",pod=~"a|b"', "pod"
    query = rule["metricsQuery"].replace("<<.Series>>", found[0])
    query = query.replace("<<.LabelMatchers>>", matchers).replace("<<.GroupBy>>", group)

    def series(namespace: str, pod: str, model: str, values: str) -> dict[str, str]:
        labels = f'{{namespace="{namespace}",pod="{pod}",model="{model}",version="1"}}'
        return {"series": found[0] + labels, "values": values}

    test = {
        "interval": "15s",
        "input_series": [
            series("kan-serving", "a", "digits", "0 0 100 300 0"),
            series("kan-serving", "a", "houses", "8 8 8 8 8"),
            series("kan-serving", "b", "digits", "0 0 0 0 0"),
            series("elsewhere", "a", "digits", "9 9 9 9 9"),
        ],
        "promql_expr_test": [
            {
                "expr": query,
                "eval_time": "60s",
                "exp_samples": [{"labels": '{pod="a"}', "value": 88}, {"labels": '{pod="b"}', "value": 0}],
            }
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "15s", "tests": [test]}))
    done = subprocess.run(
        [find_program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
