"""Connections of this process, found by their peers."""

import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from service.frontends.connections import Connections

_Pair = tuple[socket.socket, socket.socket]


def _connected(family: socket.AddressFamily, address: str) -> Iterator[_Pair]:
    with closing(socket.create_server((address, 0), family=family)) as listening:
        client = socket.create_connection(("127.0.0.1" if "." in address else "::1", listening.getsockname()[1]), 20)
        accepted, _ = listening.accept()
        with client, accepted:
            yield client, accepted


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request: pytest.FixtureRequest) -> Iterator[_Pair]:
    """Both ends of a connection, over IPv4 and IPv6: the client's, and the server's."""
    yield from _connected(socket.AF_INET if "." in request.param else socket.AF_INET6, request.param)


def _names(client: socket.socket) -> list[str]:
    """How gRPC and Envoy name it."""
    host, port = client.getsockname()[:2]
    if ":" not in host:
        return [f"ipv4:{host}:{port}", f"{host}:{port}", f"ipv6:%5B::ffff:{host}%5D:{port}"]
    return [f"ipv6:%5B{host}%5D:{port}", f"[{host}]:{port}"]


def test_a_connection_is_closed_by_its_peers_name(pair: _Pair) -> None:
    """Both ends learn of it, others stay, and the descriptors of its owner are as they were."""
    client, accepted = pair
    number = accepted.fileno()
    for other, _ in _connected(socket.AF_INET, "127.0.0.1"):
        assert Connections().close(_names(client)[0])
        assert client.recv(1) == accepted.recv(1) == b""
        assert accepted.fileno() == number
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.recv(1)


def test_each_spelling_names_it(pair: _Pair) -> None:
    """Percent-encoded or not, with the scheme or without, IPv4 as IPv6."""
    client, _ = pair
    connections = Connections()
    for name in _names(client):
        assert connections.close(name), name


def test_no_such_connection(pair: _Pair) -> None:
    """Nothing is closed where the peer has gone, or where the name is none of a host."""
    client, accepted = pair
    host, port = client.getsockname()[:2]
    connections = Connections()
    for name in (f"{host}:{port % 65535 + 1}", "unix:/tmp/socket", "", "unknown"):
        assert not connections.close(name), name
        assert not connections.is_backlogged(name), name
    assert connections.close(_names(client)[0])
    accepted.close()
    assert not connections.close(_names(client)[0])


def test_a_connection_that_nobody_reads(pair: _Pair) -> None:
    """It is backlogged once it takes no more bytes, and no longer when its peer reads."""
    client, accepted = pair
    connections, name = Connections(), _names(client)[0]
    assert not connections.is_backlogged(name)
    accepted.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            accepted.send(bytes(2**20))
    assert connections.is_backlogged(name)
    while connections.is_backlogged(name):
        client.recv(2**20)
