"""What a client says if its TLS and that of the port do not fit."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from service.client import TLS, AsyncClient, Client, Unavailable
from tests.kit.models.repository import write_version
from tests.kit.server.certificates import Authority, Pair
from tests.kit.server.kan_serve import KanServe, starter

_ROWS = np.ones((1, 4), np.float32)


class _Ports:
    """A plain server, one with TLS, one with mTLS, and certificates."""

    def __init__(self, plain: KanServe, tls: KanServe, mutual: KanServe, folder: Path, authority: Authority) -> None:
        self.addresses = {"plain": plain.grpc, "http": plain.http, "tls": tls.grpc, "mutual": mutual.grpc}
        self._authority, self._other = authority, Authority(folder / "other", "other")

    def tls_of(self, kind: str) -> TLS | None:
        """The TLS of a kind of client."""
        if kind == "plain":
            return None
        own: dict[str, Pair] = {"old": self._authority.issue("old", days=-1), "foreign": self._other.issue("foreign")}
        ca = (self._other if kind == "other" else self._authority).file
        if kind in own:
            return TLS(ca, own[kind].cert, own[kind].key)
        return TLS(ca, server_name="elsewhere.example" if kind == "elsewhere" else None)


@pytest.fixture(scope="module")
def ports(frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Ports]:
    """The servers for this file."""
    folder = tmp_path_factory.mktemp("ports")
    write_version(folder / "models", "affine")
    authority = Authority(folder / "certificates")
    pair = authority.issue("server")
    flags = ["--tls-cert", str(pair.cert), "--tls-key", str(pair.key)]
    with starter(folder / "models", folder, "--frontend", frontend) as start:
        servers = (start(), start(*flags), start(*flags, "--tls-client-ca", str(authority.file)))
        yield _Ports(*servers, folder, authority)


_MISTAKES = [
    ("plain", "tls", "the port speaks TLS, and the client plain text; give --ca"),
    ("plain", "mutual", "give --ca (in Python tls=TLS(ca=…)), and --cert and --key"),
    ("tls", "plain", "the port is plain text, and the client speaks TLS; leave --ca (KAN_CA, in Python tls=) away"),
    ("tls", "http", "does not speak gRPC: it is the HTTP port of a kan-serve"),
    ("plain", "http", "does not speak gRPC: is it the HTTP port?"),
    ("tls", "mutual", "asks callers for a certificate (mTLS)"),
    ("old", "mutual", "the server does not accept the certificate of --cert, which expired on 20"),
    ("foreign", "mutual", "does not accept the certificate of --cert"),
    ("other", "tls", "the server's certificate is not accepted (unable to get local issuer certificate); check --ca"),
    ("elsewhere", "tls", "give the name in it as --server-name"),
]


@pytest.mark.parametrize(("kind", "port", "told"), _MISTAKES)
def test_a_client_says_which_flag_is_wrong(ports: _Ports, kind: str, port: str, told: str) -> None:
    """Both clients, by a call and by a stream."""
    address, tls = ports.addresses[port], ports.tls_of(kind)
    with Client(address, tls=tls, max_attempts=1) as client:
        for call in (client.models, lambda: list(client.predict_stream("affine", [_ROWS]))):
            with pytest.raises(Unavailable) as caught:
                call()
            assert told in str(caught.value)
            assert address in str(caught.value)

    async def check() -> None:
        async with AsyncClient(address, tls=tls, max_attempts=1) as client:
            with pytest.raises(Unavailable) as caught:
                await client.models()
            assert told in str(caught.value)

    asyncio.run(check())


@pytest.mark.parametrize(("kind", "port", "told"), [_MISTAKES[0], _MISTAKES[2], _MISTAKES[5], _MISTAKES[6]])
def test_the_command_prints_one_line(ports: _Ports, kind: str, port: str, told: str) -> None:
    """No line of gRPC's own comes before it."""
    tls = ports.tls_of(kind)
    flags = [] if tls is None else ["--ca", str(tls.ca)]
    flags += ["--cert", str(tls.cert), "--key", str(tls.key)] if tls is not None and tls.cert is not None else []
    command = [sys.executable, "-m", "service.client.cli", "models", "--address", ports.addresses[port], *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert told in line


def test_a_port_that_says_nothing_costs_some_seconds() -> None:
    """The look at it is bounded, and the error is the one of before."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connections: list[socket.socket] = []

        def answer() -> None:
            with suppress(OSError):  # the test has closed it
                silent.accept()[0].close()  # gRPC's
                while True:
                    connections.append(silent.accept()[0])

        threading.Thread(target=answer, daemon=True).start()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with Client(address, timeout_seconds=2, max_attempts=1) as client, pytest.raises(Unavailable) as caught:
            client.models()
        assert "no server" in str(caught.value)
        assert connections
        assert time.monotonic() - began < 30
        for each in connections:
            each.close()
