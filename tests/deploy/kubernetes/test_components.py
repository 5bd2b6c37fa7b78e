"""The components that an overlay may add: TLS, tokens and workers."""

from pathlib import Path
from typing import Any

import pytest

from service.rpc.memory import most_bytes
from service.settings import Settings, variable
from tests.deploy.kubernetes.conftest import Manifests, with_components

pytestmark = pytest.mark.deploy


@pytest.fixture(params=[["tls"], ["tokens"], ["tls", "tokens"], ["tls", "tokens", "workers"]], ids="+".join)
def built(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], Manifests]:
    """The base with some components that close the door."""
    return request.param, with_components(tmp_path, *request.param)


def test_a_component_is_one_setting(built: tuple[list[str], Manifests]) -> None:
    """Each component mounts its secret where its variables say, and the settings fit together."""
    components, manifests = built
    secrets = {each["name"]: each["secret"]["secretName"] for each in manifests.pod["volumes"] if "secret" in each}
    assert secrets == {name: f"kan-serve-{name}" for name in components if name != "workers"}
    mounts = {each["name"]: each["mountPath"] for each in manifests.container["volumeMounts"]}
    assert all(mounts[name] == f"/{name}" for name in secrets)
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


def test_two_workers_have_twice_of_everything(tmp_path: Path) -> None:
    """One component: two processes, with the cores, the memory and the waiting rows of two, and nothing else."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = with_components(tmp_path / "one"), with_components(tmp_path / "two", "workers")
    assert two.variables == {**one.variables, "KAN_WORKERS": "2"}
    for kind in ("requests", "limits"):
        before, after = (_numbers(each.container["resources"][kind]) for each in (one, two))
        assert after == {name: 2 * number for name, number in before.items()}
    assert after["memory"] >= most_bytes(Settings(workers=2), model_bytes=48_000_000)
    before, after = (each.one("HorizontalPodAutoscaler")["spec"]["metrics"] for each in (one, two))
    assert int(after[0]["pods"]["target"]["averageValue"]) == 2 * int(before[0]["pods"]["target"]["averageValue"])
    assert after[1:] == before[1:]


def _numbers(quantities: dict[str, str]) -> dict[str, float]:
    """Cores, and bytes of memory that is written in MiB."""
    return {"cpu": float(quantities["cpu"]), "memory": 2**20 * float(quantities["memory"].removesuffix("Mi"))}
