"""The manifests build and fit Kubernetes' own schemas."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.server.programs import find_program

pytestmark = pytest.mark.deploy

KUBERNETES = Path(__file__).parents[3] / "deploy" / "kubernetes"
BIN = Path(sys.executable).parent
# The oldest that knows a preStop of `sleep`, and the newest that kubernetes-validate has schemas of.
VERSIONS = {"oldest": ["--kubernetes-version", "1.30.0"], "newest": []}
# kubernetes-validate has no schemas of these.
FOREIGN = ("monitoring.coreos.com", "gateway.networking.k8s.io", "serving.kserve.io")


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_every_object_fits_its_schema(manifests: Any, version: list[str], tmp_path: Path) -> None:
    """Built-in kinds pass kubernetes-validate --strict; so does the pod that KServe is told to make."""
    objects = [each for each in manifests.objects if each["apiVersion"].split("/")[0] not in FOREIGN]
    if manifests.folder == "kserve":
        objects.append({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kan"}, "spec": manifests.pod})
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    command = [str(BIN / "kubernetes-validate"), "--strict", *version, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.count("passed for resource") == len(objects) > 0, said


def test_a_slip_of_the_pen_is_found(overlay: Any, tmp_path: Path) -> None:
    """The check above refuses a field that Kubernetes does not know."""
    deployment = yaml.safe_load(yaml.safe_dump(overlay.one("Deployment")))
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump(deployment))
    command = [str(BIN / "kubernetes-validate"), "--strict", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "readinesProbe" in done.stdout + done.stderr


@pytest.mark.parametrize("component", sorted(path.name for path in (KUBERNETES / "components").iterdir()))
def test_every_component_goes_with_the_base(component: str, tmp_path: Path) -> None:
    """Whoever writes an overlay of their own may take any of them."""
    there = Path(os.path.relpath(KUBERNETES, tmp_path.resolve()))
    overlay = {"resources": [str(there / "base")], "components": [str(there / "components" / component)]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    done = subprocess.run(
        [find_program("kubectl"), "kustomize", str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_everything_is_in_one_namespace(overlay: Any) -> None:
    """Every object is in the namespace that the overlay makes, whose pods must be restricted."""
    (namespace,) = overlay.all("Namespace")
    inside = {each["metadata"]["namespace"] for each in overlay.objects if each["kind"] != "Namespace"}
    assert inside == {namespace["metadata"]["name"]}
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_images_are_pinned(overlay: Any) -> None:
    """By a tag that is not "latest"."""
    name, _, tag = overlay.container["image"].rpartition(":")
    assert name.endswith("/kan-serving")
    assert tag not in {"", "latest"}


def test_pods_are_restricted(manifests: Any) -> None:
    """A user that is nobody, a root that cannot be written, no capabilities, seccomp, no token, bounds."""
    spec, container = manifests.pod, manifests.container
    security = spec.get("securityContext", {}) | container["securityContext"]
    assert security["runAsNonRoot"] is security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert spec["automountServiceAccountToken"] is spec["enableServiceLinks"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    resources = container["resources"]
    assert resources["limits"].keys() >= resources["requests"].keys() >= {"cpu", "memory"}
