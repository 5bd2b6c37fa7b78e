"""What `helm install` would send: Helm 4 itself, as a library (pip's helm-python-sdk), without a cluster."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[4] / "deploy" / "kubernetes" / "helm"

Object = dict[str, Any]
Values = dict[str, Any]


@dataclass(frozen=True)
class Release:
    """What Helm sends for one release, and what it tells whoever installed it."""

    manifest: str
    notes: str

    @cached_property
    def objects(self) -> list[Object]:
        """What is sent, read."""
        return [each for each in yaml.safe_load_all(self.manifest) if each]

    def all(self, kind: str) -> list[Object]:
        """Those of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str = "kan-serve") -> Object:
        """The one of a kind with this name."""
        (found,) = [each for each in self.all(kind) if each["metadata"]["name"] == name]
        return found

    @property
    def template(self) -> Object:
        """What pods are made from."""
        found: Object = self.all("Deployment")[0]["spec"]["template"]
        return found

    @property
    def container(self) -> Object:
        """The server's container."""
        (found,) = self.template["spec"]["containers"]
        return dict(found)

    @property
    def variables(self) -> dict[str, str]:
        """The KAN_… variables. Those of the container win."""
        (settings,) = self.all("ConfigMap")
        own = {each["name"]: each["value"] for each in self.container["env"] if each["name"].startswith("KAN_")}
        return dict(settings["data"]) | own


@dataclass(frozen=True)
class Chart:
    """The chart, and the library that reads it."""

    helm: Any
    path: Path

    def values(self, name: str) -> Values:
        """A file of values that comes with the chart, read as Helm reads it."""
        found: Values = self.helm.values_from_yaml((CHART / name).read_text())
        return found

    def refused(self, values: Values) -> str:
        """What Helm says against these values; "" where it takes them."""
        with self.helm.Chart.load(self.path) as chart:
            try:
                chart.validate_schema(values)
            except self.helm.HelmValuesError as error:
                return str(error)
        return ""

    def release(
        self, values: Values | None = None, *, name: str = "kan-serve", namespace: str = "kan-serving"
    ) -> Release:
        """What `helm install NAME deploy/kubernetes/helm --namespace NAMESPACE --values …` would send."""
        assert self.refused(values or {}) == ""
        with self.helm.Chart.load(self.path) as chart:
            rendered: dict[str, str] = chart.render(values, name=name, namespace=namespace)
        (notes,) = [text for path, text in rendered.items() if path.endswith("NOTES.txt")]
        texts = [text for path, text in sorted(rendered.items()) if path.endswith(".yaml")]
        return Release("\n---\n".join(texts), notes)


@pytest.fixture(scope="session")
def chart() -> Iterator[Chart]:
    """The chart as it lies here; a skip where there is no Helm, but not in CI."""
    try:
        import helm_python
    except ImportError:
        assert "CI" not in os.environ, "helm-python-sdk is not installed; the extra [deploy] has it"
        pytest.skip("helm-python-sdk is not installed")
    yield Chart(helm_python, CHART)
    assert helm_python.open_handles_count() == 0
