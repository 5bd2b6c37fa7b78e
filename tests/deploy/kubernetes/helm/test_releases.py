"""Releases: their names, the package they come from, what Helm says and asks afterwards."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).parents[4]


def test_two_releases_keep_apart(chart: Any) -> None:
    """Of two releases in a namespace no object has the other's name (the claim may be shared), nor selects its pods."""
    red = chart.release(name="red")
    blue = chart.release({"models": {"claim": {"create": False}}, "monitoring": {"rules": False}}, name="blue")
    names = [{(each["kind"], each["metadata"]["name"]) for each in release.objects} for release in (red, blue)]
    assert names[0].isdisjoint(names[1])
    for release, other in ((red, blue), (blue, red)):
        selectors = [
            release.all("Deployment")[0]["spec"]["selector"]["matchLabels"],
            release.all("PodDisruptionBudget")[0]["spec"]["selector"]["matchLabels"],
            *(each["spec"]["podSelector"]["matchLabels"] for each in release.all("NetworkPolicy")),
            *(each["spec"]["selector"] for each in release.all("Service")),
        ]
        assert len(selectors) == 5
        mine, others = (each.template["metadata"]["labels"].items() for each in (release, other))
        assert all(each.items() <= mine and not each.items() <= others for each in selectors)
        (monitor,) = [each["spec"]["selector"]["matchLabels"] for each in release.all("ServiceMonitor")]
        services = [each["metadata"] for each in (*red.all("Service"), *blue.all("Service"))]
        (found,) = [each["name"] for each in services if monitor.items() <= each["labels"].items()]
        assert found == f"{release.one('Deployment', found.removesuffix('-headless'))['metadata']['name']}-headless"


@pytest.mark.parametrize("name", ["a" * 53, "kan-serve-" + "a" * 43])
def test_names_are_short_enough(name: str, chart: Any) -> None:
    """The longest name of a release (53 characters) leaves every object's name a valid one."""
    chart.helm.validate_release_name(name)
    for each in chart.release(name=name).objects:
        assert len(each["metadata"]["name"]) <= 63
        assert not each["metadata"]["name"].endswith("-")


def test_the_package_is_the_chart(chart: Any, tmp_path: Path) -> None:
    """Packed, it holds the rules and nothing of Python, and gives the same objects; its version is the project's."""
    archive = chart.helm.package(chart.path, destination=tmp_path)
    with chart.helm.Chart.load(archive) as packed, chart.helm.Chart.load(chart.path) as loose:
        files = {each["name"] for each in packed.files}
        assert packed.render(name="a", namespace="b") == loose.render(name="a", namespace="b")
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert packed.version == packed.metadata["appVersion"] == project["version"]
    assert {"rules/alerts.yaml", "rules/recording.yaml"} <= files
    assert not [name for name in files if ".py" in name]


def test_the_test_asks_the_service(chart: Any) -> None:
    """`helm test` asks the Service for its health over gRPC, and is let in; no Service selects its pod."""
    release = chart.release()
    (pod,) = release.all("Pod")
    (container,) = pod["spec"]["containers"]
    assert container["command"][:4] == ["kan-client", "health", "--address", "kan-serve:8001"]
    assert [port["port"] for port in release.one("Service")["spec"]["ports"]] == [8001]
    (peers,) = [
        rule["from"] for rule in release.one("NetworkPolicy")["spec"]["ingress"] if rule["ports"][0]["port"] == "grpc"
    ]
    labels = pod["metadata"]["labels"].items()
    assert [peer for peer in peers if peer.get("podSelector", {}).get("matchLabels", {"": ""}).items() <= labels]
    assert not [each for each in release.all("Service") if each["spec"]["selector"].items() <= labels]


def test_the_notes_say_what_is_left_to_do(chart: Any) -> None:
    """Examples that nobody replaced are named; where to call is named by the release's own names."""
    notes = chart.release(chart.values("values-object-storage.yaml")).notes
    assert "There is no such registry" in notes
    assert "There is no such bucket" in notes
    values = {"image": {"repository": "quay.io/us/kan-serving"}, "networkPolicy": {"enabled": False}}
    notes = chart.release(values, name="red", namespace="models").notes
    assert "There is no such" not in notes
    assert "No caller may connect" not in notes
    assert "dns:///red-kan-serve-headless.models:8001" in notes
