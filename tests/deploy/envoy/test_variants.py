"""deploy/envoy with TLS and JSON Web Tokens, in a real Envoy before a real server."""

import subprocess
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import yaml

from deploy.envoy import variants
from service.client import Forbidden, Unauthenticated
from tests.deploy.envoy.conftest import read
from tests.deploy.envoy.guarded import Guarded, guarding
from tests.deploy.envoy.issuer import Issuer
from tests.kit.callers.protocols import KanApi
from tests.kit.server.certificates import serial, shown_serial
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.deploy


def test_the_files_are_in_step() -> None:
    """tls.json, jwt.json, certificate.json and the folder workers are what the script makes of envoy.yaml."""
    for path, text in variants.files().items():
        assert path.read_text() == text, path


def test_a_valid_token_passes(guarded: Guarded) -> None:
    """A call with a token that the issuer signed is answered."""
    assert guarded.predict(guarded.issuer.token()) == 1


@pytest.mark.parametrize("kind", ["missing", "no token", "expired", "other issuer", "other key", "cut"])
def test_other_tokens_do_not(guarded: Guarded, kind: str) -> None:
    """Without a valid token each call is UNAUTHENTICATED."""
    issuer = guarded.issuer
    token = {
        "missing": None,
        "no token": "abc",
        "expired": issuer.token(seconds=-600),
        "other issuer": issuer.token(iss="https://elsewhere.example.com"),
        "other key": Issuer().token(),
        "cut": issuer.token()[:-10],
    }[kind]
    with pytest.raises(Unauthenticated):
        guarded.predict(token)


def test_tokens_for_other_services_do_not(guarded: Guarded) -> None:
    """A valid token for another audience is PERMISSION_DENIED."""
    with pytest.raises(Forbidden):
        guarded.predict(guarded.issuer.token(aud="another-service"))


def test_plain_text_does_not(guarded: Guarded) -> None:
    """The callers' port speaks TLS alone."""
    with grpc.insecure_channel(guarded.address, options=[("grpc.enable_retries", 0)]) as channel:
        method: Any = channel.unary_unary(KanApi.path)
        with pytest.raises(grpc.RpcError) as caught:
            method(KanApi.request("digits", np.zeros((1, 64), np.float32)), timeout=30)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_renewed_certificate_is_taken(guarded: Guarded) -> None:
    """New connections see it once certificate and key were moved in; half of it changes nothing. Open ones go on."""
    before, new = shown_serial(guarded.address), guarded.authority.issue("renewed")
    metadata = (("authorization", f"Bearer {guarded.issuer.token()}"),)
    request = KanApi.request("digits", np.zeros((1, 64), np.float32))
    with guarded.channel() as channel:
        predict: Any = channel.unary_unary(KanApi.path)
        assert predict(request, timeout=60, metadata=metadata)
        guarded.renew(new.cert)
        wait_for(lambda: "KEY_VALUES_MISMATCH" in guarded.log.read_text(), "Envoy to look at the half")
        assert shown_serial(guarded.address) == before
        guarded.renew(new.key)
        wait_for(lambda: shown_serial(guarded.address) == serial(new.cert.read_bytes()), "the new certificate")
        assert predict(request, timeout=60, metadata=metadata)
    assert guarded.predict(guarded.issuer.token()) == 1


@pytest.mark.parametrize("name", ["tls", "jwt"])
def test_envoy_is_healthy_once_it_has_a_certificate(tmp_path: Path, name: str) -> None:
    """By the health check of the overlay. Without a certificate Envoy starts; with one it needs no second start."""
    overlay = yaml.safe_load((Path(variants.__file__).parents[1] / f"compose.{name}.yaml").read_text())
    _, *command = overlay["services"]["envoy"]["healthcheck"]["test"]
    with guarding(tmp_path, replica=1, certified=False) as envoy:
        check = [word.replace("/9901", f"/{envoy.metrics_port}") for word in command]

        def is_healthy() -> bool:
            return subprocess.run(check, capture_output=True, timeout=60, check=False).returncode == 0

        wait_for(lambda: "LIVE" in read(f"http://127.0.0.1:{envoy.metrics_port}/ready"), "Envoy to start")
        assert not is_healthy()
        pair = envoy.authority.issue("server")
        for file in (pair.cert, pair.key):
            envoy.renew(file)
        wait_for(is_healthy, "Envoy is healthy")
