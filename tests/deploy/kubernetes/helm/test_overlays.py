"""The chart gives the objects that kustomize gives."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.server.programs import find_program

pytestmark = pytest.mark.deploy

KUBERNETES = Path(__file__).parents[4] / "deploy" / "kubernetes"
OVERLAYS = {"cpu": None, "gpu": "values-gpu.yaml", "object-storage": "values-object-storage.yaml"}
# A release's own. Kustomize rolls the pods by a hash in the ConfigMap's name, Helm by an annotation of the pods.
HELMS = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
    "helm.sh/resource-policy",
    "checksum/settings",
}


def _plain(value: Any) -> Any:
    """Without what one of the two must add."""
    if isinstance(value, dict):
        kept = {key: _plain(each) for key, each in value.items() if key not in HELMS}
        return {key: each for key, each in kept.items() if not (key == "annotations" and not each)}
    if isinstance(value, list):
        # Volumes and their mounts have names and no order.
        named = all(isinstance(each, dict) and "name" in each for each in value)
        return [_plain(each) for each in (sorted(value, key=lambda each: str(each["name"])) if named else value)]
    return (
        re.sub(r"^kan-serve-settings-[a-z0-9]{10}$", "kan-serve-settings", value) if isinstance(value, str) else value
    )


def _by_name(objects: list[Any]) -> dict[tuple[str, str], Any]:
    """Objects by kind and name. Helm makes no namespace, and kustomize knows no hooks."""
    kept = [each for each in objects if "helm.sh/hook" not in each["metadata"].get("annotations", {})]
    plain = [_plain(each) for each in kept if each["kind"] != "Namespace"]
    named = {(each["kind"], each["metadata"]["name"]): each for each in plain}
    assert len(named) == len(plain)
    return named


def _kustomize(kubectl: str, folder: Path) -> dict[tuple[str, str], Any]:
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return _by_name(list(yaml.safe_load_all(done.stdout)))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_is_a_file_of_values(overlay: str, chart: Any) -> None:
    """Object by object, field by field: Helm's defaults and files of values give what the overlays give."""
    wanted = _kustomize(find_program("kubectl"), KUBERNETES / "overlays" / overlay)
    file = OVERLAYS[overlay]
    given = _by_name(chart.release(chart.values(file) if file else None).objects)
    assert len(wanted) >= 11
    assert given.keys() == wanted.keys()
    for name, each in wanted.items():
        assert given[name] == each, name


def test_no_overlay_is_left_out() -> None:
    """Every overlay has its file of values, and every file its overlay."""
    assert set(OVERLAYS) == {folder.name for folder in (KUBERNETES / "overlays").iterdir()}
    files = {path.name for path in (KUBERNETES / "helm").glob("values-*.yaml")}
    assert files == {file for file in OVERLAYS.values() if file}


COMPONENTS: dict[str, dict[str, Any]] = {
    "gateway": {"gateway": {"enabled": True}},
    "tls": {"tls": {"secret": "kan-serve-tls"}},
    "tokens": {"tokens": {"secret": "kan-serve-tokens"}},
    "workers": {"workers": 2},
}


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_are_values(component: str, chart: Any, tmp_path: Path) -> None:
    """An overlay of base and a component, without monitoring, in a namespace of its own: a value and a flag."""
    there = Path(os.path.relpath(KUBERNETES, tmp_path.resolve()))
    overlay = {
        "namespace": "elsewhere",
        "resources": [str(there / "base")],
        "components": [str(there / "components" / component)],
        "images": [{"name": "kan-serving", "newName": "registry.example.com/kan-serving", "newTag": "0.1.0"}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    values = {"monitoring": {"enabled": False}, **COMPONENTS[component]}
    given = _by_name(chart.release(values, namespace="elsewhere").objects)
    assert ("GRPCRoute", "kan-serve") in given or component != "gateway"
    plain = {name: each for name, each in given.items() if name[0] != "Pod"}  # the test of a release
    assert plain == _kustomize(find_program("kubectl"), tmp_path)
