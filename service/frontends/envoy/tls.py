"""TLS of Envoy, with certificates that may change while it serves.

Envoy reads the certificate files anew once something is moved into a folder that it watches. The server inside Envoy
watches the files themselves, and moves a file into that folder once they have changed and are valid. So a file may be
written in any way, Envoy sees no half of one, and no copy of the key is made. Source: Envoy's "Certificate rotation".
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.rpc.limits import HANDSHAKE_SECONDS
from service.settings import Settings

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_WATCHED, _SERVER, _CLIENTS = "certificates", "server", "clients"


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


def write_secrets(settings: Settings, folder: Path) -> None:
    """Write the files that tell Envoy where the certificates are; nothing without TLS."""
    if not settings.tls_cert:
        return
    (folder / _WATCHED).mkdir()
    watched = {"watched_directory": {"path": str(folder / _WATCHED)}}
    pair = {"certificate_chain": _file(settings.tls_cert), "private_key": _file(settings.tls_key)}
    _write(_SERVER, folder, {"tls_certificate": {**pair, **watched}})
    if settings.tls_client_ca:
        _write(_CLIENTS, folder, {"validation_context": {"trusted_ca": _file(settings.tls_client_ca), **watched}})


def have_read(folder: Path) -> None:
    """Have Envoy read the certificates anew."""
    new = folder / "read-anew"
    new.touch()
    os.replace(new, folder / _WATCHED / new.name)


def _named(name: str, folder: Path) -> Mapping[str, Any]:
    source = {"path_config_source": {"path": str(_path(name, folder))}, "resource_api_version": "V3"}
    return {"name": name, "sds_config": source}


def _write(name: str, folder: Path, secret: Mapping[str, Any]) -> None:
    resource = {"@type": f"{_TLS}.Secret", "name": name, **secret}
    _path(name, folder).write_text(json.dumps({"resources": [resource]}))


def _path(name: str, folder: Path) -> Path:
    return folder / f"{name}-secret.json"


def _file(path: str) -> Mapping[str, str]:
    """A file for Envoy; symbolic links stay, since Kubernetes changes where they lead."""
    return {"filename": os.path.abspath(path)}
