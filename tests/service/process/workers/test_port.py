"""The port that workers share."""

import socket

import pytest

from service.errors import StartupError
from service.frontends.address import check_free
from service.process.workers.port import SharedPort


def test_the_workers_of_one_parent_may_listen_and_nobody_else() -> None:
    """A second parent and a plain server fail with the reason, before and after a worker listens."""
    port = SharedPort.hold("127.0.0.1", 0)
    try:
        with pytest.raises(StartupError, match=f":{port.number}: Address already in use"):
            SharedPort.hold("127.0.0.1", port.number)
        # On all addresses the name of the lock is another one.
        for host in ("127.0.0.1", "0.0.0.0"):
            for take in (check_free, SharedPort.hold):
                with pytest.raises(StartupError, match=f"{host}:{port.number}: Address already in use"):
                    take(host, port.number)
        with socket.socket() as worker, socket.socket() as other:
            for each in (worker, other):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                each.bind(("127.0.0.1", port.number))
                each.listen()
            with pytest.raises(StartupError, match="Address already in use"):
                SharedPort.hold("127.0.0.1", port.number)
            with pytest.raises(StartupError, match="Address already in use"):
                check_free("127.0.0.1", port.number)
    finally:
        port.close()
    SharedPort.hold("127.0.0.1", port.number).close()


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_of_another_server_is_refused(shared: bool) -> None:
    """Also the port of a server that would share it: its lock is not ours, but it listens."""
    with socket.socket() as other:
        if shared:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(StartupError, match="Address already in use"):
            SharedPort.hold("127.0.0.1", other.getsockname()[1])


def test_no_connection_comes_to_the_parent() -> None:
    """The parent holds the port and does not listen: every connection is a worker's."""
    port = SharedPort.hold("localhost", 0)
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port.number), timeout=5).close()
        with socket.socket() as worker:
            worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            worker.bind(("127.0.0.1", port.number))
            worker.listen(64)
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", port.number), timeout=5):
                    worker.accept()[0].close()
    finally:
        port.close()
