"""Addresses of servers, and the options of a gRPC channel: load balancing, retries and keepalive."""

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from service.client.limits import MAX_MESSAGE_BYTES

# gRPC treats a higher number as 5.
MOST_ATTEMPTS: Final = 5

NAME_OF_SEVERAL: Final = "dns:///"

_OPTIONS: Final = (
    # gRPC retries a call only if the whole request fits into this buffer, by default 256 KiB.
    ("grpc.per_rpc_retry_buffer_size", 2 * MAX_MESSAGE_BYTES),
    # No limit: an answer may be larger than its request, whose size the server limits.
    ("grpc.max_receive_message_length", -1),
    # By default a channel waits at least a second after a refused connection, longer than the retries of a call last.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # Whatever its name says, this is how long a connection may take until the server has said its settings. A busy or
    # distant server takes more than a tenth of a second, and each connection that is given up costs a call an attempt.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    # By default a gRPC server closes a connection that pings more often than every five minutes. The timeout works
    # without pings too: Linux drops a connection without acknowledgements for that long (TCP_USER_TIMEOUT). The call is
    # then retried on a new connection.
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Connect directly, even if the environment variable http_proxy is set: the server is our own.
    ("grpc.enable_http_proxy", 0),
)


Options: TypeAlias = tuple[tuple[str, str | int], ...]


@dataclass(frozen=True)
class Target:
    """One server, or several equal servers.

    uri      the target as gRPC takes it
    address  the addresses as the caller wrote them, for messages
    several  whether calls are spread over several servers
    """

    uri: str
    address: str
    several: bool


def target(addresses: str | Sequence[str]) -> Target:
    """The servers at these addresses.

    Args:
        addresses: one of three forms. "host:port" is one server. "1.2.3.4:port,1.2.3.5:port", or a sequence of such
            strings, is several servers, by IP addresses of one family, because gRPC takes no list of names.
            "dns:///name:port" is every address behind one name.

    Raises:
        ValueError: when an address has another form.
    """
    if isinstance(addresses, str) and addresses.startswith(NAME_OF_SEVERAL):
        _read_host(addresses.removeprefix(NAME_OF_SEVERAL))
        return Target(addresses, addresses, several=True)
    parts = addresses.split(",") if isinstance(addresses, str) else list(addresses)
    hosts = [_read_host(part.strip()) for part in parts]
    address = ",".join(part.strip() for part in parts)
    if not hosts:
        raise ValueError("there is no address, wanted host:port as in 127.0.0.1:8001")
    if len(hosts) == 1:
        return Target(address, address, several=False)
    families = {ip_version(host) for host in hosts}
    if len(families) > 1 or None in families:
        raise ValueError(
            f"the addresses are {address!r}, wanted IP addresses of one family with ports (gRPC takes no list of "
            f"names; one name that stands for several servers is written {NAME_OF_SEVERAL}name:port)"
        )
    return Target(f"ipv{families.pop()}:{address}", address, several=True)


def options(several: bool, max_attempts: int, wait_for_ready: bool, *, checks_health: bool = True) -> Options:
    """Channel options.

    Args:
        several: whether calls go to several servers in turn.
        max_attempts: most times that a call is sent while servers are unavailable; 1 means no retries.
        wait_for_ready: whether calls wait for a server.
        checks_health: whether servers may be asked for their health, where there are several or calls wait.

    Raises:
        ValueError: when max_attempts is not from 1 to 5.
    """
    return (
        ("grpc.service_config", json.dumps(_service_config(several, max_attempts, wait_for_ready, checks_health))),
        *_OPTIONS,
    )


def _service_config(several: bool, max_attempts: int, wait_for_ready: bool, checks_health: bool) -> dict[str, object]:
    """Source: grpc.service_config.ServiceConfig, gRPC proposals A6 (retries) and A17 (health checks by clients)."""
    if not 1 <= max_attempts <= MOST_ATTEMPTS:
        raise ValueError(f"max_attempts is {max_attempts}, wanted 1 (no repeats) to {MOST_ATTEMPTS}")
    method: dict[str, object] = {"name": [{}], "waitForReady": wait_for_ready}
    if max_attempts > 1:
        # gRPC varies each wait by up to 20 %, so that callers do not all retry at the same moment. RESOURCE_EXHAUSTED
        # is not in the list: an overloaded server must not get the refused calls again at once.
        method["retryPolicy"] = {
            "maxAttempts": max_attempts,
            "initialBackoff": "0.1s",
            "maxBackoff": "1s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
    # This client retries streams itself, for two reasons. gRPC's retries do not know which blocks have an answer. And
    # if the last retry fails, a read or a write of the call may never return.
    stream = {"name": [{"service": "kan_api.v1.PredictionService", "method": "PredictStream"}]}
    config: dict[str, object] = {"methodConfig": [method, {**stream, "waitForReady": wait_for_ready}]}
    if several or wait_for_ready:
        # Only round_robin checks the health of servers. With it, a server that is loading or draining gets no calls.
        config["loadBalancingConfig"] = [{"round_robin": {}}]
    if (several or wait_for_ready) and checks_health:
        config["healthCheckConfig"] = {"serviceName": ""}
    return config


def _read_host(address: str) -> str:
    """The host in "host:port"; ValueError for another form."""
    host, _, port = address.rpartition(":")
    # Without a port grpc would use 443 in silence.
    if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 2**16) or "/" in address:
        raise ValueError(f"the address is {address!r}, wanted host:port as in 127.0.0.1:8001, ports up to 65535")
    return host


def ip_version(host: str) -> int | None:
    """4 or 6, the version of an IP address; None for a name."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).version
    except ValueError:
        return None
