"""TLS of Envoy, with certificates that may change while it serves.

Envoy reads the certificate files anew once something is moved into a folder that it watches. The server inside Envoy
watches the files themselves, and moves a file into that folder once they have changed and are valid. So a file may be
written in any way, and Envoy sees no half of one. No copy of the key is made, with one exception: an Envoy that starts
while the files are invalid takes what other workers had last, from its own folder. Source: Envoy's "Certificate
rotation".
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.access.certificates import Certificates
from service.rpc.limits import HANDSHAKE_SECONDS
from service.settings import Settings

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_WATCHED, _SERVER, _CLIENTS, _KEPT = "certificates", "server", "clients", "last-valid"


def transport_socket(settings: Settings, folder: Path) -> Mapping[str, Any]:
    """The listener's transport socket; nothing without TLS.

    Args:
        settings: Name the certificate files.
        folder: Envoy's own, of :func:`write_secrets`.
    """
    if not settings.tls_cert:
        return {}
    context: dict[str, Any] = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificate_sds_secret_configs": [_named(_SERVER, folder)],
    }
    if settings.tls_client_ca:
        context["validation_context_sds_secret_config"] = _named(_CLIENTS, folder)
    fields = {"common_tls_context": context, "require_client_certificate": bool(settings.tls_client_ca)}
    return {
        # By default a connection that never finishes its handshake stays open for ever.
        "transport_socket_connect_timeout": f"{HANDSHAKE_SECONDS}s",
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {"@type": f"{_TLS}.DownstreamTlsContext", **fields},
        },
    }


def write_secrets(settings: Settings, folder: Path, last_valid: Certificates | None = None) -> None:
    """Write the files that tell Envoy where the certificates are; nothing without TLS.

    Args:
        settings: Name the certificate files.
        folder: Envoy's own. Only this user may enter it.
        last_valid: Are taken in the place of the files, which are invalid; None if these are valid.
    """
    if not settings.tls_cert:
        return
    (folder / _WATCHED).mkdir(exist_ok=True)
    files = (settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    if last_valid is not None:
        files = _keep(folder / _KEPT, last_valid)
    watched = {"watched_directory": {"path": str(folder / _WATCHED)}}
    pair = {"certificate_chain": _file(files[0]), "private_key": _file(files[1])}
    _write(_SERVER, folder, {"tls_certificate": {**pair, **watched}})
    if settings.tls_client_ca:
        _write(_CLIENTS, folder, {"validation_context": {"trusted_ca": _file(files[2]), **watched}})


def use_files(settings: Settings, folder: Path) -> bool:
    """Have Envoy read the certificate files, which are valid now, if it uses the last valid ones in their place.

    Returns:
        Whether it did.
    """
    if not (folder / _KEPT).exists():
        return False
    write_secrets(settings, folder)
    shutil.rmtree(folder / _KEPT)
    return True


def have_read(settings: Settings, folder: Path) -> None:
    """Have Envoy read the certificates anew."""
    if use_files(settings, folder):
        return
    new = folder / "read-anew"
    new.touch()
    os.replace(new, folder / _WATCHED / new.name)


def _named(name: str, folder: Path) -> Mapping[str, Any]:
    source = {"path_config_source": {"path": str(_path(name, folder))}, "resource_api_version": "V3"}
    return {"name": name, "sds_config": source}


def _write(name: str, folder: Path, secret: Mapping[str, Any]) -> None:
    resource = {"@type": f"{_TLS}.Secret", "name": name, **secret}
    new = folder / f"{name}-secret.new"
    new.write_text(json.dumps({"resources": [resource]}))
    os.replace(new, _path(name, folder))  # by which Envoy notices a change


def _keep(folder: Path, certificates: Certificates) -> tuple[str, str, str]:
    """Write certificates into a folder for Envoy. Gives the files of the chain, the key and the authorities."""
    folder.mkdir(mode=0o700)
    contents = {"chain": certificates.chain, "key": certificates.key, "client-ca": certificates.client_ca or b""}
    for name, content in contents.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    chain, key, client_ca = (str(folder / name) for name in contents)
    return chain, key, client_ca


def _path(name: str, folder: Path) -> Path:
    return folder / f"{name}-secret.json"


def _file(path: str) -> Mapping[str, str]:
    """A file for Envoy; symbolic links stay, since Kubernetes changes where they lead."""
    return {"filename": os.path.abspath(path)}
