"""What deploy/compose.yaml says, without an engine: docker compose reads it, and every service is hardened."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.envoy.loopback import FLAGS as ENVOY_FLAGS
from service.process.stop import GONE
from service.rpc.memory import most_bytes
from service.settings import FLAGS, Settings
from tests.kit.server.kan_serve import FRONTENDS

pytestmark = pytest.mark.deploy

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
OVERLAYS = (
    (),
    (DEPLOY / "compose.gpu.yaml",),
    (Path(__file__).parent / "compose.ci.yaml",),
    (DEPLOY / "compose.tls.yaml",),
    (DEPLOY / "compose.jwt.yaml",),
    (DEPLOY / "compose.workers.yaml",),
    (DEPLOY / "compose.jwt.yaml", DEPLOY / "compose.workers.yaml"),
)
# Each has a configuration of Envoy of its own.
ENVOYS: dict[str, tuple[Path, ...]] = {
    "alone": (),
    "tls": (DEPLOY / "compose.tls.yaml",),
    "jwt": (DEPLOY / "compose.jwt.yaml",),
}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """As compose understands them, anchors and defaults filled in."""
    return dict(yaml.safe_load(config())["services"])


def config(*overlays: Path, **environment: str) -> str:
    """What `docker compose config` makes of the file."""
    files = [word for path in (COMPOSE, *overlays) for word in ("-f", str(path))]
    found = subprocess.run(
        ["/usr/bin/docker", "compose", *files, "config"],
        env={"PATH": "/usr/bin:/bin", "KAN_PUBLISHED": "/nowhere", "HOME": "/nowhere", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.parametrize("overlays", OVERLAYS, ids=["alone", "gpu", "ci", "tls", "jwt", "workers", "jwt+workers"])
def test_compose_reads_it(overlays: tuple[Path, ...]) -> None:
    """With each overlay too; nothing is unset."""
    assert "kan-serve:" in config(*overlays)


@pytest.mark.parametrize("name", ["tls", "jwt"])
def test_overlays_mount_what_envoy_reads(name: str) -> None:
    """With TLS, and with JSON Web Tokens, Envoy starts with a file that there is, whose own files are mounted."""
    envoy = yaml.safe_load(config(DEPLOY / f"compose.{name}.yaml"))["services"]["envoy"]
    mounts = {each["target"] for each in envoy["volumes"]}
    assert envoy["command"][2] == f"/etc/envoy/{name}.json"
    texts = [(DEPLOY / "envoy" / f"{each}.json").read_text() for each in (name, "certificate")]
    assert '"path": "/etc/envoy/certificate.json"' in texts[0]
    wanted = {str(Path(each).parent) for text in texts for each in re.findall(r'"filename": "([^"]+)"', text)}
    assert {"/etc/envoy-certificates"} <= wanted < mounts


@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize("overlay", [None, "compose.workers.yaml"])
def test_replicas_fit_their_containers(overlay: str | None, frontend: str) -> None:
    """Each worker has a core, and memory for all that callers can make it use, with the 48 MB of models and the
    superseded versions that docs/operations.md promises.
    """
    service = yaml.safe_load(config(*[DEPLOY / each for each in filter(None, [overlay])]))["services"]["kan-serve"]
    limits = service["deploy"]["resources"]["limits"]
    workers = int(service["environment"].get("KAN_WORKERS", 1))
    assert workers == (2 if overlay else 1)
    assert float(limits["cpus"]) == workers
    settings = Settings.model_validate({"frontend": frontend, "workers": workers})
    assert int(limits["memory"]) >= most_bytes(settings, model_bytes=48_000_000)


@pytest.mark.parametrize("overlays", ENVOYS.values(), ids=ENVOYS)
def test_envoy_has_the_flags_of_the_tests(overlays: tuple[Path, ...]) -> None:
    """What the tests and benchmarks find out about Envoy, they find out with the flags of compose."""
    envoy = yaml.safe_load(config(*overlays))["services"]["envoy"]
    assert tuple(envoy["command"][3:]) == ENVOY_FLAGS


@pytest.mark.parametrize("overlays", ENVOYS.values(), ids=ENVOYS)
def test_envoy_spreads_calls_when_there_are_several_workers(overlays: tuple[Path, ...]) -> None:
    """With compose.workers.yaml it reads the file of the same name for several workers, whatever the order."""
    workers = DEPLOY / "compose.workers.yaml"
    for files in ((*overlays, workers), (workers, *overlays)):
        envoy = yaml.safe_load(config(*files))["services"]["envoy"]
        (folder,) = [Path(each["source"]) for each in envoy["volumes"] if each["target"] == "/etc/envoy"]
        assert folder == DEPLOY / "envoy" / "workers"
        assert (folder / Path(envoy["command"][2]).relative_to("/etc/envoy")).is_file()


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


def test_every_service_has_a_health_check(services: dict[str, Any]) -> None:
    """`up --wait` waits for them; the trainer is one shot, which has to end well."""
    for name, service in services.items():
        assert "healthcheck" in service, name
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
    known = {f"KAN_{name.upper()}" for name in FLAGS}
    assert {key for key in environment if key.startswith("KAN_")} <= known
    assert services["kan-serve"]["stop_grace_period"] == "45s"
    assert int(environment["KAN_GRACE_SECONDS"]) + GONE.after_grace_seconds + 5 <= 45


@pytest.mark.parametrize(
    ("there", "trains"), [((), True), (("digits",), True), (("digits/1",), True), (("digits/1/manifest.json",), False)]
)
def test_it_trains_where_no_version_is_whole(
    services: dict[str, Any], tmp_path: Path, there: tuple[str, ...], trains: bool
) -> None:
    """An `up` that was interrupted while it published does not leave a stack without a model for good."""
    for path in there:
        (tmp_path / "models" / path).mkdir(parents=True)
    stub = tmp_path / "kan-train"
    stub.write_text(
        f"#!/bin/sh\ncd {tmp_path} && mkdir -p models/digits runs/digits && touch runs/digits/held_out.csv\n"
    )
    stub.chmod(0o755)
    (command,) = services["train"]["command"]
    command = command.replace("/tmp/runs", f"{tmp_path}/runs").replace("/models", f"{tmp_path}/models")
    subprocess.run(["/bin/sh", "-c", command], check=True, timeout=30, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert (tmp_path / "models/digits/held_out.csv").exists() == trains


def test_envoy_fits_its_container(services: dict[str, Any]) -> None:
    """Its heap is below the memory limit, it has a thread a CPU, its drain ends before the kill."""
    envoy = services["envoy"]
    limits = envoy["deploy"]["resources"]["limits"]
    monitors = yaml.safe_load((DEPLOY / "envoy" / "envoy.yaml").read_text())["overload_manager"]["resource_monitors"]
    (heap,) = [each["typed_config"]["max_heap_size_bytes"] for each in monitors if each["name"].endswith("fixed_heap")]
    assert heap <= 0.9 * int(limits["memory"])
    assert f"--concurrency {int(limits['cpus'])}" in " ".join(envoy["command"])
    assert "SECONDS + 20" in (DEPLOY / "envoy" / "drain.sh").read_text()
    assert envoy["stop_grace_period"] == "30s"
