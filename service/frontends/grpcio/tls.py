"""TLS of grpcio, with certificates that may change while it serves."""

import grpc

from service.access.certificates import Certificates
from service.access.reloaded import ReloadedFiles


def server_credentials(certificates: ReloadedFiles[Certificates]) -> grpc.ServerCredentials:
    """Credentials that use for each new connection what the files last said.

    Args:
        certificates: The files; watched by their owner.
    """
    in_use = certificates.value

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """Each handshake asks, in a thread of its own; None: nothing has changed."""
        nonlocal in_use
        if certificates.value is in_use:
            return None
        in_use = certificates.value
        return _configuration(in_use)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(in_use),
        fetch,  # type: ignore[arg-type]  # None is allowed, and means no change
        require_client_authentication=in_use.client_ca is not None,
    )


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(certificates.key, certificates.chain)], certificates.client_ca)
