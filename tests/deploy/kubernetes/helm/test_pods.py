"""Pods as kustomize and as Helm describe them, run by a real engine: TLS, tokens and workers, each one setting."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest

from service.client import TLS, Client, Unauthenticated, Unavailable
from tests.deploy.engine import Engine
from tests.deploy.kubernetes.conftest import Object, with_components
from tests.kit.callers.tokens import secret, write_tokens
from tests.kit.models.repository import write_version
from tests.kit.server import metrics
from tests.kit.server.certificates import Authority
from tests.kit.server.kan_serve import FRONTENDS, get
from tests.kit.waiting import wait_for

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[4]


@dataclass(frozen=True)
class Pod:
    """What a kubelet needs to know of a pod: its specification, and the variables of its ConfigMap."""

    specification: Object
    variables: dict[str, str]

    @property
    def container(self) -> Object:
        """The only one."""
        (found,) = self.specification["containers"]
        return dict(found)

    def flags(self, volumes: dict[str, Path]) -> list[str]:
        """Those of `docker run`.

        Args:
            volumes: By name, what is mounted; a volume without a folder here is an empty one.
        """
        security = self.specification["securityContext"] | self.container["securityContext"]
        limits = self.container["resources"]["limits"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        flags = ["--read-only", "--security-opt", "no-new-privileges", "--cap-drop", *security["capabilities"]["drop"]]
        flags += ["--user", f"{security['runAsUser']}:{security['runAsGroup']}"]
        # This machine may have fewer cores than the pod may use.
        flags += ["--cpus", str(min(float(limits["cpu"]), os.cpu_count() or 1))]
        flags += ["--memory", limits["memory"].removesuffix("i").lower()]
        for name, value in self.variables.items():
            flags += ["--env", f"{name}={value}"]
        for mount in self.container["volumeMounts"]:
            if mount["name"] in volumes:
                assert mount["readOnly"]
                flags += ["--volume", f"{volumes[mount['name']]}:{mount['mountPath']}:ro"]
            else:
                flags += ["--tmpfs", mount["mountPath"]]
        for port in self.container["ports"]:
            flags += ["--publish", f"127.0.0.1::{port['containerPort']}"]
        return flags


@dataclass(frozen=True)
class Running:
    """A pod that runs, and where its ports are."""

    pod: Pod
    engine: Engine
    name: str

    def address(self, port: str) -> str:
        """Of a port by its name."""
        (number,) = [each["containerPort"] for each in self.pod.container["ports"] if each["name"] == port]
        assert self.state("Running") == "true", self.engine.docker("logs", self.name)
        return self.engine.docker("port", self.name, str(number))

    def state(self, of: str) -> str:
        """One word of what the engine knows of it."""
        return self.engine.docker("inspect", "--format", f"{{{{.State.{of}}}}}", self.name)

    def passes(self, probe: str) -> bool:
        """Whether a probe passes, which asks a plain port."""
        asked = self.pod.container[probe]["httpGet"]
        with suppress(OSError):
            return get(self.address(asked["port"]), asked["path"])[0] == 200
        return False


@pytest.fixture(params=FRONTENDS, scope="module")
def frontend(request: pytest.FixtureRequest) -> str:
    """Each image once."""
    return str(request.param)


@pytest.fixture(scope="module")
def image(engine: Engine, frontend: str) -> str:
    """An image that can do what the pod asks for, as docs/kubernetes.md builds it."""
    tag, extras = f"kan-serving:{frontend}", "serve,envoy" if frontend == "envoy" else "serve"
    engine.docker("build", "--network", "host", "--tag", tag, "--build-arg", f"EXTRA={extras}", str(ROOT), timeout=400)
    return tag


@pytest.fixture(params=["kustomize", "helm"])
def pod(request: pytest.FixtureRequest, frontend: str, tmp_path: Path) -> Pod:
    """With TLS, tokens and two workers: three lines of an overlay, or three values."""
    if request.param == "kustomize":
        built = with_components(tmp_path, "tls", "tokens", "workers", KAN_FRONTEND=frontend)
        return Pod(built.pod, built.variables)
    values = {"tls": {"secret": "some-tls"}, "tokens": {"secret": "some-tokens"}, "workers": 2, "frontend": frontend}
    release: Any = request.getfixturevalue("chart").release(values)
    return Pod(release.template["spec"], release.variables)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Signs the certificate of the secret."""
    return Authority(tmp_path / "authority")


@pytest.fixture
def running(engine: Engine, image: str, pod: Pod, authority: Authority, tmp_path: Path) -> Iterator[Running]:
    """The pod, until it is ready; afterwards it is gone."""
    pair = authority.issue("server")
    volumes = {name: tmp_path / name for name in ("models", "tls", "tokens")}
    write_version(volumes["models"], "affine")
    volumes["tls"].mkdir()
    volumes["tokens"].mkdir()
    (volumes["tls"] / "tls.crt").write_bytes(pair.cert.read_bytes())
    (volumes["tls"] / "tls.key").write_bytes(pair.key.read_bytes())
    write_tokens(volumes["tokens"] / "tokens.toml", alice="")
    for path in (tmp_path, *tmp_path.parents[:2], *tmp_path.rglob("*")):
        path.chmod(path.stat().st_mode | 0o055)
    found = Running(pod, engine, "kan-pod")
    engine.docker("network", "create", "kan-pods")
    try:
        engine.docker("run", "--detach", "--network", "kan-pods", "--name", found.name, *pod.flags(volumes), image)
        wait_for(lambda: found.passes("readinessProbe"), "the pod is ready")
        yield found
    finally:
        engine.docker("rm", "--force", found.name, check=False)
        engine.docker("network", "rm", "kan-pods")


def test_a_pod_serves_by_two_workers_over_tls(running: Running, authority: Authority) -> None:
    """A caller with a token is answered over TLS, others are not; two workers are counted; the pod ends with 0.

    The port of the probes has no metrics.
    """
    rows = np.ones((2, 4), np.float32)
    address, tls = running.address("grpc"), TLS(authority.file)
    with Client(address, tls=tls, token=secret("alice"), max_attempts=1) as client:
        (values,) = client.predict("affine", rows).outputs.values()
        assert len(values) == 2
    with Client(address, tls=tls, max_attempts=1) as client, pytest.raises(Unauthenticated):
        client.predict("affine", rows)
    with Client(address, max_attempts=1) as client, pytest.raises(Unavailable):
        client.predict("affine", rows)
    # The pod is ready once one of them takes calls.
    wait_for(lambda: metrics.total(metrics.read(running.address("metrics")), "kan_workers") == 2, "both workers")
    with pytest.raises(HTTPError, match="404"):
        metrics.read(running.address("http"))
    assert running.passes("startupProbe")
    assert running.passes("livenessProbe")
    seconds = running.pod.specification["terminationGracePeriodSeconds"]
    running.engine.docker("stop", "--time", str(seconds), running.name)
    assert running.state("ExitCode") == "0", running.engine.docker("logs", running.name)
    assert running.state("OOMKilled") == "false"
