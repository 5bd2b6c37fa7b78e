"""Where a client connects and by which rules: addresses, balancing, repeats and keepalive as gRPC's own options."""

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from service.client.limits import MAX_MESSAGE_BYTES

# gRPC takes a higher number for 5.
MOST_ATTEMPTS: Final = 5

_NAME_OF_SEVERAL = "dns:///"

_OPTIONS: Final = (
    # A call is sent again only while the channel still holds all of it; by default it holds 256 KiB.
    ("grpc.per_rpc_retry_buffer_size", 2 * MAX_MESSAGE_BYTES),
    # An answer may be wider than its question, which the server has bounded.
    ("grpc.max_receive_message_length", -1),
    # By default a channel that was refused waits a second or more before it connects again: longer than the retries.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A server that is pinged more often than every five minutes hangs up, unless it was told otherwise. The timeout
    # works without pings: Linux gives up a connection on which nothing was acknowledged for so long (TCP_USER_TIMEOUT),
    # and the call is repeated on a new one.
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A server of one's own is reached directly, whatever http_proxy says.
    ("grpc.enable_http_proxy", 0),
)


Options: TypeAlias = tuple[tuple[str, str | int], ...]


@dataclass(frozen=True)
class Target:
    """Servers that answer alike.

    uri      as gRPC takes it
    shown    as a person wrote it
    several  whether calls are spread
    """

    uri: str
    shown: str
    several: bool


def target(addresses: str | Sequence[str]) -> Target:
    """The servers at these addresses.

    Args:
        addresses: "host:port"; "1.2.3.4:port,1.2.3.5:port" or a sequence of such, IP addresses of one family, since
            gRPC takes no list of names; or "dns:///name:port" for all the addresses that a name stands for.

    Raises:
        ValueError: when an address is of another form.
    """
    if isinstance(addresses, str) and addresses.startswith(_NAME_OF_SEVERAL):
        _checked(addresses.removeprefix(_NAME_OF_SEVERAL))
        return Target(addresses, addresses, several=True)
    given = addresses.split(",") if isinstance(addresses, str) else list(addresses)
    hosts = [_checked(address.strip()) for address in given]
    shown = ",".join(address.strip() for address in given)
    if not hosts:
        raise ValueError("there is no address, wanted host:port as in 127.0.0.1:8001")
    if len(hosts) == 1:
        return Target(shown, shown, several=False)
    families = {_family(host) for host in hosts}
    if len(families) > 1 or None in families:
        raise ValueError(
            f"the addresses are {shown!r}, wanted IP addresses of one family with ports (gRPC takes no list of names; "
            f"one name that stands for several servers is written {_NAME_OF_SEVERAL}name:port)"
        )
    return Target(f"ipv{families.pop()}:{shown}", shown, several=True)


def options(several: bool, max_attempts: int, wait_for_ready: bool) -> Options:
    """Channel options.

    Args:
        several: whether calls are spread over several servers, each in turn.
        max_attempts: how often a call is sent at most while servers are unavailable; 1 is once.
        wait_for_ready: whether calls wait for a server.

    Raises:
        ValueError: when max_attempts is not from 1 to 5.
    """
    return (("grpc.service_config", json.dumps(_service_config(several, max_attempts, wait_for_ready))), *_OPTIONS)


def _service_config(several: bool, max_attempts: int, wait_for_ready: bool) -> dict[str, object]:
    """Source: grpc.service_config.ServiceConfig, gRPC proposals A6 (retries) and A17 (health checks by clients)."""
    if not 1 <= max_attempts <= MOST_ATTEMPTS:
        raise ValueError(f"max_attempts is {max_attempts}, wanted 1 (no repeats) to {MOST_ATTEMPTS}")
    method: dict[str, object] = {"name": [{}], "waitForReady": wait_for_ready}
    if max_attempts > 1:
        # gRPC varies each wait by a fifth, so that callers do not come back all at once. Never RESOURCE_EXHAUSTED:
        # load that was shed must not come back at once.
        method["retryPolicy"] = {
            "maxAttempts": max_attempts,
            "initialBackoff": "0.1s",
            "maxBackoff": "1s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
    # Streams are repeated by us: gRPC's own repeats do not know what was answered, and where the last of them fails, a
    # read or a write of the call may wait for ever.
    stream = {"name": [{"service": "kan_api.v1.PredictionService", "method": "PredictStream"}]}
    config: dict[str, object] = {"methodConfig": [method, {**stream, "waitForReady": wait_for_ready}]}
    if several or wait_for_ready:
        # Only round_robin asks servers for their health: one that loads or drains gets no calls, though it listens.
        config["loadBalancingConfig"] = [{"round_robin": {}}]
        config["healthCheckConfig"] = {"serviceName": ""}
    return config


def _checked(address: str) -> str:
    """The host of "host:port"."""
    host, _, port = address.rpartition(":")
    # Without a port grpc would try 443 and say nothing of it.
    if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 2**16) or "/" in address:
        raise ValueError(f"the address is {address!r}, wanted host:port as in 127.0.0.1:8001, ports up to 65535")
    return host


def _family(host: str) -> int | None:
    """4 or 6; None for a name."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).version
    except ValueError:
        return None
