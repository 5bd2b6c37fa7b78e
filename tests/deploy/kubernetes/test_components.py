"""The components that an overlay may add: TLS and tokens."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings, variable
from tests.deploy.kubernetes.conftest import KUBERNETES, Manifests
from tests.kit.server.programs import find_program

pytestmark = pytest.mark.deploy


@pytest.fixture(params=[["tls"], ["tokens"], ["tls", "tokens"]], ids="+".join)
def built(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], Manifests]:
    """The base with some components, as kustomize makes it."""
    components: list[str] = request.param
    folder = os.path.relpath(KUBERNETES, tmp_path)
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{folder}/base"],
        "components": [f"{folder}/components/{name}" for name in components],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    command = [find_program("kubectl"), "kustomize", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return components, Manifests("components", list(yaml.safe_load_all(done.stdout)))


def test_a_component_is_one_setting(built: tuple[list[str], Manifests]) -> None:
    """Each component mounts its secret where its variables say, and the settings fit together."""
    components, manifests = built
    secrets = {each["name"]: each["secret"]["secretName"] for each in manifests.pod["volumes"] if "secret" in each}
    assert secrets == {name: f"kan-serve-{name}" for name in components}
    mounts = {each["name"]: each["mountPath"] for each in manifests.container["volumeMounts"]}
    assert all(mounts[name] == f"/{name}" for name in components)
    names = {variable(name): name for name in Settings.model_fields}
    settings: Any = Settings.model_validate({names[name]: value for name, value in manifests.variables.items()})
    assert bool(settings.tls_cert) == ("tls" in components)
    assert bool(settings.tokens) == ("tokens" in components)
    for file in filter(None, (settings.tls_cert, settings.tls_key, settings.tokens)):
        assert str(Path(file).parent) in mounts.values()


def test_probes_ask_the_plain_port(built: tuple[list[str], Manifests]) -> None:
    """Kubernetes' gRPC probes know neither TLS nor tokens, so none is left."""
    _, manifests = built
    for name, path in (("startup", "/livez"), ("liveness", "/livez"), ("readiness", "/readyz")):
        probe = manifests.container[f"{name}Probe"]
        assert probe["httpGet"] == {"path": path, "port": "http"}
        assert "grpc" not in probe
        assert probe["failureThreshold"] > 1  # all else is the base's
