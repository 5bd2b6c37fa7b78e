"""Addresses and options as gRPC takes them."""

import json

import pytest

from service.client.channel import Target, options, target


def test_one_address_is_left_to_grpc() -> None:
    """A name is resolved by gRPC, again and again."""
    assert target("kan.example:8001") == Target("kan.example:8001", "kan.example:8001", several=False)
    assert target(["127.0.0.1:8001"]) == target(" 127.0.0.1:8001 ") == Target("127.0.0.1:8001", "127.0.0.1:8001", False)


def test_several_addresses_are_one_target() -> None:
    """As text or as a sequence, of either family; or one name that stands for several."""
    assert target("10.0.0.1:8001, 10.0.0.2:8001") == target(["10.0.0.1:8001", "10.0.0.2:8001"])
    assert target(["10.0.0.1:1", "10.0.0.2:2"]) == Target("ipv4:10.0.0.1:1,10.0.0.2:2", "10.0.0.1:1,10.0.0.2:2", True)
    assert target("[::1]:1,[::2]:2").uri == "ipv6:[::1]:1,[::2]:2"
    assert target("dns:///kan.example:8001") == Target("dns:///kan.example:8001", "dns:///kan.example:8001", True)


@pytest.mark.parametrize("addresses", ["a:1,b:1", "10.0.0.1:1,[::1]:1", ["10.0.0.1:1", "localhost:1"]])
def test_a_list_of_names_is_refused(addresses: str | list[str]) -> None:
    """A list of names is nothing that gRPC takes. The message says which forms it takes."""
    with pytest.raises(ValueError, match="dns:///name:port"):
        target(addresses)


@pytest.mark.parametrize("addresses", [[], "", ",", "10.0.0.1:1,", ["10.0.0.1"], "dns:///a", "dns:///a:1,b:1/"])
def test_every_address_has_a_host_and_a_port(addresses: str | list[str]) -> None:
    """The mistake is found before any call."""
    with pytest.raises(ValueError, match="host:port"):
        target(addresses)


@pytest.mark.parametrize("attempts", [0, 6, -1])
def test_attempts_are_bounded(attempts: int) -> None:
    """More than five would be five in silence."""
    with pytest.raises(ValueError, match="max_attempts"):
        options(several=False, max_attempts=attempts, wait_for_ready=False)


def test_only_unavailable_is_repeated() -> None:
    """Refused load and calls past their deadline must not be sent again."""
    config = json.loads(str(dict(options(several=True, max_attempts=3, wait_for_ready=False))["grpc.service_config"]))
    assert config["methodConfig"][0]["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert config["methodConfig"][0]["retryPolicy"]["maxAttempts"] == 3


def test_pings_are_rarer_than_servers_forbid() -> None:
    """A gRPC server closes a connection that pings more often than every five minutes (gRPC proposal A8)."""
    assert int(dict(options(several=True, max_attempts=5, wait_for_ready=True))["grpc.keepalive_time_ms"]) > 300_000
