"""The load generator's connection before grpc's own server: TLS, certificates and tokens."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from benchmarks.common.http2 import PLAIN, Connection, Security
from tests.kit.server.certificates import Authority

_PATH = "/a.Service/Method"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Security, grpc.ServerCredentials]:
    """What a caller of a server with mTLS has, and the server's side of it."""
    authority, callers = Authority(tmp_path), Authority(tmp_path, "callers")
    server, caller = authority.issue("server"), callers.issue("caller")
    pairs = [(server.key.read_bytes(), server.cert.read_bytes())]
    credentials = grpc.ssl_server_credentials(pairs, callers.file.read_bytes(), require_client_auth=True)
    return Security(authority.file, caller.cert, caller.key, "kan_token"), credentials


@contextmanager
def _echo(credentials: grpc.ServerCredentials | None = None) -> Iterator[tuple[str, list[Sequence[Any]]]]:
    """The address of a server that answers each call with its message, and the metadata of the calls."""
    seen: list[Sequence[Any]] = []

    class Echo(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            seen.append(handler_call_details.invocation_metadata)
            return grpc.unary_unary_rpc_method_handler(lambda request, _context: request)

    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([Echo()])
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        yield f"127.0.0.1:{port}", seen
    finally:
        server.stop(0).wait()


def _answers(connection: Connection, count: int) -> dict[int, bytes]:
    """The answers to so many calls, made at once."""
    for tag in range(count):
        connection.call(tag, f"message {tag}".encode())
    connection.flush()
    answers: dict[int, bytes] = {}
    while len(answers) < count:
        answers.update(connection.receive())
    return answers


def test_calls_over_mtls_bring_their_token(files: tuple[Security, grpc.ServerCredentials]) -> None:
    """TLS is spoken, each of many calls has the token once, and each answer is its own call's."""
    security, credentials = files
    with _echo(credentials) as (address, seen), closing(Connection(address, _PATH, security)) as connection:
        assert connection.tls.startswith("TLSv1.")
        assert _answers(connection, 50) == {tag: f"message {tag}".encode() for tag in range(50)}
    tokens = [[value for key, value in metadata if key == "authorization"] for metadata in seen]
    assert tokens == [["Bearer kan_token"]] * 50


def test_a_plain_connection_says_so() -> None:
    """It has no TLS, and its calls no token."""
    with _echo() as (address, seen), closing(Connection(address, _PATH)) as connection:
        assert connection.tls == ""
        assert len(_answers(connection, 3)) == 3
    assert not any(key == "authorization" for metadata in seen for key, _ in metadata)


@pytest.mark.parametrize("lacking", ["certificate", "TLS", "trust"])
def test_a_connection_without_what_the_server_wants(
    files: tuple[Security, grpc.ServerCredentials], tmp_path: Path, lacking: str
) -> None:
    """No connection comes about: without a certificate, in plain text, or to a server of another authority."""
    security, credentials = files
    caller = {
        "certificate": Security(security.ca),
        "TLS": PLAIN,
        "trust": replace(security, ca=Authority(tmp_path / "other").file),
    }[lacking]
    with _echo(credentials) as (address, _), pytest.raises((OSError, ValueError)):
        Connection(address, _PATH, caller)
