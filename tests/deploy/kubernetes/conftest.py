"""What `kubectl apply -k` would send, folder by folder."""

import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.server.programs import find_program

KUBERNETES = Path(__file__).parents[3] / "deploy" / "kubernetes"
FOLDERS = sorted(
    str(file.parent.relative_to(KUBERNETES))
    for file in KUBERNETES.rglob("kustomization.yaml")
    if file.parent.parent.name != "components"
)
DEPLOYMENTS = [folder for folder in FOLDERS if folder != "kserve"]
OVERLAYS = [folder for folder in DEPLOYMENTS if folder != "base"]

Object = dict[str, Any]


@dataclass(frozen=True)
class Manifests:
    """The objects of one folder."""

    folder: str
    objects: list[Object]

    def all(self, kind: str) -> list[Object]:
        """Those of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str = "kan-serve") -> Object:
        """The one of a kind with this name."""
        (found,) = [each for each in self.all(kind) if each["metadata"]["name"] == name]
        return found

    def names(self, kind: str) -> set[str]:
        """Names of those of a kind."""
        return {each["metadata"]["name"] for each in self.all(kind)}

    @property
    def pod(self) -> Object:
        """The pods' specification: the Deployment's, or as much of KServe's as runtime and service say."""
        if deployments := self.all("Deployment"):
            spec: Object = deployments[0]["spec"]["template"]["spec"]
            return spec
        runtime = self.one("ServingRuntime")["spec"]
        kserves = ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "model")
        predictor = self.one("InferenceService", "kan")["spec"]["predictor"]
        plain = {key: value for key, value in predictor.items() if key not in kserves}
        return {"containers": runtime["containers"], "volumes": runtime["volumes"], **plain}

    @property
    def container(self) -> Object:
        """The server's container, the only one."""
        (found,) = self.pod["containers"]
        return dict(found)

    @property
    def variables(self) -> dict[str, str]:
        """The KAN_… variables of the container, those of the ConfigMap among them; its own win."""
        values: dict[str, str] = {}
        for source in self.container.get("envFrom", ()):
            values |= self.one("ConfigMap", source["configMapRef"]["name"])["data"]
        values |= {each["name"]: each["value"] for each in self.container.get("env", ())}
        return {name: value for name, value in values.items() if name.startswith("KAN_")}


def with_components(folder: Path, *components: str, **variables: str) -> Manifests:
    """An overlay of the base, these components and more variables, which is written into a folder."""
    there = os.path.relpath(KUBERNETES, folder.resolve())
    literals = [f"{name}={value}" for name, value in variables.items()]
    overlay = {
        "resources": [f"{there}/base"],
        "components": [f"{there}/components/{name}" for name in components],
        "configMapGenerator": [{"name": "kan-serve-settings", "behavior": "merge", "literals": literals}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return _build(folder, "+".join(components))


@cache
def _built(folder: str) -> Manifests:
    return _build(KUBERNETES / folder, folder)


def _build(path: Path, name: str) -> Manifests:
    command = [find_program("kubectl"), "kustomize", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "kustomize warns"
    return Manifests(name, list(yaml.safe_load_all(done.stdout)))


@pytest.fixture(params=FOLDERS)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    """Every folder that can be built: base, overlays and KServe."""
    return _built(request.param)


@pytest.fixture(params=DEPLOYMENTS)
def deployment(request: pytest.FixtureRequest) -> Manifests:
    """Every folder with a Deployment: base and overlays."""
    return _built(request.param)


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Manifests:
    """Every folder that is meant to be applied."""
    return _built(request.param)
