"""What deploy/compose.yaml says, without an engine: docker compose reads it, and every service is hardened."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

pytestmark = pytest.mark.deploy

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
OVERLAYS = ((), (DEPLOY / "compose.gpu.yaml",), (Path(__file__).parent / "compose.ci.yaml",))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """As compose understands them, anchors and defaults filled in."""
    return dict(yaml.safe_load(config())["services"])


def config(*overlays: Path) -> str:
    """What `docker compose config` makes of the file."""
    files = [word for path in (COMPOSE, *overlays) for word in ("-f", str(path))]
    found = subprocess.run(
        ["/usr/bin/docker", "compose", *files, "config"],
        env={"PATH": "/usr/bin:/bin", "KAN_PUBLISHED": "/nowhere", "HOME": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.parametrize("overlays", OVERLAYS, ids=["alone", "gpu", "ci"])
def test_compose_reads_it(overlays: tuple[Path, ...]) -> None:
    """With each overlay too; nothing is unset."""
    assert "kan-serve:" in config(*overlays)


def test_every_service_is_hardened(services: dict[str, Any]) -> None:
    """Read-only, no capabilities, no new privileges, limits, a pinned image, ports on loopback alone."""
    assert set(services) == {"train", "kan-serve", "envoy", "prometheus", "alertmanager", "grafana"}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"]), name
        assert re.fullmatch(r"[\w/-]+:(local|v?\d+\.\d+\.\d+)", service["image"]), name
        assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}, name


def test_every_lasting_service_has_a_health_check(services: dict[str, Any]) -> None:
    """`up --wait` waits for them; the trainer is one shot, which has to end well."""
    for name, service in services.items():
        assert ("healthcheck" in service) != (name == "train"), name
    assert services["train"]["restart"] == "no"
    assert services["kan-serve"]["depends_on"]["train"]["condition"] == "service_completed_successfully"


def test_secrets_are_files_and_no_variables(services: dict[str, Any]) -> None:
    """No password stands in the environment; the files are there, so that the first `up` works."""
    text = COMPOSE.read_text()
    for name, secret in yaml.safe_load(text)["secrets"].items():
        assert (DEPLOY / secret["file"]).read_text().strip(), name
    for service in services.values():
        for key in service.get("environment") or {}:
            assert "PASSWORD" not in key or key.endswith("__FILE"), key


def test_settings_are_known_and_leave_time_to_drain(services: dict[str, Any]) -> None:
    """Every KAN_… is a setting of the server; what a stop may take is less than the engine waits."""
    environment = services["kan-serve"]["environment"]
    known = {f"KAN_{name.upper()}" for name in Settings.model_fields}
    assert {key for key in environment if key.startswith("KAN_")} <= known
    assert services["kan-serve"]["stop_grace_period"] == "1m0s"
    # 5 s for answers, and with the Envoy front end 10 s more.
    assert int(environment["KAN_GRACE_SECONDS"]) + 15 < 60
