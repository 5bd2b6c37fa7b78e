"""Envoy's configuration with TLS, with JSON Web Tokens and an access log too, and each for replicas with workers.

All are envoy.yaml with a few fields more. Run as ``python deploy/envoy/variants.py`` to write tls.json, jwt.json,
certificate.json (which tells both where the certificate is) and the folder workers, with ``--check`` to see whether
they are in step.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from deploy.generated import write_or_check

_FOLDER = Path(__file__).parent
# Of the container: compose.tls.yaml and compose.jwt.yaml mount them.
_CERTIFICATES = "/etc/envoy-certificates"
_SECRET = "/etc/envoy/certificate.json"
_KEYS = "/etc/envoy-keys"
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_NAME = "server"
# Of one connection to a replica. 64 calls at once then open 16 connections, and the median share of the weaker of two
# workers is that of 16 throws of a coin, 44 %. With 8 calls a connection it is 38 %.
WORKERS_CALLS_AT_ONCE = 4
# Of one connection, after which it ends. Otherwise a worker that is started again would get none, and an uneven spread
# would last.
_WORKERS_CALLS = 1000
# Envoy does not close them when their caller's connection ends.
_WORKERS_IDLE_SECONDS = 5

Object = dict[str, Any]


def with_tls(configuration: Object, secret: str = _SECRET) -> Object:
    """The callers' listener speaks TLS alone.

    Args:
        configuration: Of envoy.yaml; is changed.
        secret: File of :func:`certificate`.
    """
    (chain,) = _callers(configuration)["filter_chains"]
    source = {"path_config_source": {"path": secret}, "resource_api_version": "V3"}
    # Envoy wants a name of its own before it reads secrets.
    configuration["node"] = {"id": "envoy", "cluster": "envoy"}
    # By default a connection that never finishes its handshake stays open for ever.
    chain["transport_socket_connect_timeout"] = "10s"
    chain["transport_socket"] = {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TLS}.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificate_sds_secret_configs": [{"name": _NAME, "sds_config": source}],
            },
        },
    }
    return configuration


def certificate(folder: str = _CERTIFICATES) -> Object:
    """Tells Envoy where the certificate is. Envoy reads it anew when a file is moved into its folder.

    Args:
        folder: Of tls.crt and tls.key.
    """
    files = {
        "certificate_chain": {"filename": f"{folder}/tls.crt"},
        "private_key": {"filename": f"{folder}/tls.key"},
        "watched_directory": {"path": folder},
    }
    return {"resources": [{"@type": f"{_TLS}.Secret", "name": _NAME, "tls_certificate": files}]}


def with_jwt(
    configuration: Object,
    issuer: str = "https://issuer.example.com",
    audience: str = "kan-serving",
    keys: str = f"{_KEYS}/jwks.json",
) -> Object:
    """Each call needs a token that the issuer has signed for this audience, and that has not expired.

    Args:
        configuration: Of envoy.yaml; is changed.
        issuer: The claim `iss`.
        audience: The claim `aud`.
        keys: File of the issuer's public keys (JWKS).
    """
    (chain,) = _callers(configuration)["filter_chains"]
    (manager,) = chain["filters"]
    provider = {
        "issuer": issuer,
        "audiences": [audience],
        "local_jwks": {"filename": keys},
        # Replicas need no token; who calls goes to them in a header that callers cannot write.
        "forward": False,
        # The access log reads the claim from here.
        "payload_in_metadata": "claims",
        "claim_to_headers": [{"header_name": "x-jwt-subject", "claim_name": "sub"}],
    }
    filter_ = {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"callers": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "callers"}}],
        },
    }
    filters: list[Object] = manager["typed_config"]["http_filters"]
    # After the statistics, so that refusals are counted; before the router.
    filters.insert(len(filters) - 1, filter_)
    return configuration


def with_workers(configuration: Object) -> Object:
    """Calls at once go over several connections to a replica, which the kernel spreads over its workers.

    By default Envoy has one HTTP/2 connection to each replica, so one worker would get all calls. Connections are not
    shared among callers, because a server that gets too many unfinished requests tells honest callers by their
    connection.

    Args:
        configuration: Of envoy.yaml; is changed.
    """
    (cluster,) = [each for each in configuration["static_resources"]["clusters"] if each["name"] == "kan-serve"]
    cluster["connection_pool_per_downstream_connection"] = True
    (options,) = cluster["typed_extension_protocol_options"].values()
    options["common_http_protocol_options"] = {
        "max_requests_per_connection": _WORKERS_CALLS,
        "idle_timeout": f"{_WORKERS_IDLE_SECONDS}s",
    }
    options["explicit_http_config"]["http2_protocol_options"]["max_concurrent_streams"] = WORKERS_CALLS_AT_ONCE
    return configuration


def with_access_log(configuration: Object, percent: int = 100) -> Object:
    """Write a line of the access log for these calls.

    Args:
        configuration: Of envoy.yaml; is changed.
        percent: Of all calls.
    """
    (layer,) = [each for each in configuration["layered_runtime"]["layers"] if each["name"] == "access log"]
    layer["static_layer"]["access_log_percent"] = percent
    return configuration


def files() -> dict[Path, str]:
    """The files that are made, by path. compose.yaml finds those for several workers under the same name."""
    made = {
        "certificate.json": certificate(),
        "tls.json": with_tls(_read()),
        "jwt.json": _with_jwt_and_log(),
        "workers/certificate.json": certificate(),
        "workers/envoy.yaml": with_workers(_read()),
        "workers/tls.json": with_workers(with_tls(_read())),
        "workers/jwt.json": with_workers(_with_jwt_and_log()),
    }
    # JSON is YAML too.
    return {_FOLDER / name: json.dumps(content, indent=1) + "\n" for name, content in made.items()}


def _with_jwt_and_log() -> Object:
    return with_access_log(with_jwt(with_tls(_read())))


def _read() -> Object:
    configuration: Object = yaml.safe_load((_FOLDER / "envoy.yaml").read_text())
    return configuration


def _callers(configuration: Object) -> Object:
    (listener,) = [each for each in configuration["static_resources"]["listeners"] if each["name"] == "callers"]
    found: Object = listener
    return found


if __name__ == "__main__":
    sys.exit(write_or_check(files, __doc__))
