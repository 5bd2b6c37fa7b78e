"""deploy/envoy with TLS and JSON Web Tokens, in a real Envoy before a real server."""

from typing import Any

import grpc
import numpy as np
import pytest

from deploy.envoy import variants
from service.client import Forbidden, Unauthenticated
from tests.deploy.envoy.guarded import Guarded
from tests.deploy.envoy.issuer import Issuer
from tests.kit.callers.protocols import KanApi

pytestmark = pytest.mark.deploy


def test_the_files_are_in_step() -> None:
    """tls.json, jwt.json and the folder workers are what the script makes of envoy.yaml."""
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
