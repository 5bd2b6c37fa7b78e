"""Bodies in JSON that Envoy holds before Python sees the call: only with a valid token, and bounded."""

import os
import select
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.access.token_file import MOST_TOKEN_BYTES
from tests.kit.callers import http2
from tests.kit.callers.http1 import read_answer
from tests.kit.callers.tokens import sha256
from tests.kit.models.repository import write_version
from tests.kit.server.kan_serve import KanServe, serving
from tests.kit.waiting import wait_for

# A hash is made of blocks of 64 bytes; up to 55 bytes take one, and 56 need a second.
_LENGTHS = (1, 47, 55, 56, 63, 64, 65, 119, 120, 128, 1000, MOST_TOKEN_BYTES)
_TOKENS = [f"{length}.".ljust(length, "x")[:length] for length in _LENGTHS]
_EXPIRED, _LONG, _FLAWED = "has-expired", "y" * (MOST_TOKEN_BYTES + 1), "caf\xe9"
_METHODS = ("PredictionService/Predict", "PredictionService/Explain", "PredictionService/GetModel")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A server with Envoy and all the tokens above."""
    folder = tmp_path_factory.mktemp("closed")
    write_version(folder / "models", "affine")
    with serving(
        folder / "models", "--frontend", "envoy", "--tokens", str(_write(folder, _TOKENS)), log=folder / "log"
    ) as started:
        yield started


def _write(folder: Path, tokens: list[str]) -> Path:
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    tables = [f'[tokens.t{number}]\nsha256 = "{sha256(token)}"' for number, token in enumerate([*tokens, _LONG])]
    tables.append(f'[tokens.old]\nsha256 = "{sha256(_EXPIRED)}"\nexpires = {past}')
    new = folder / "tokens.new"
    new.write_text("\n".join(tables))
    os.replace(new, folder / "tokens.toml")
    return folder / "tokens.toml"


def _begun(server: KanServe, method: str, authorization: str, *headers: str) -> socket.socket:
    """A connection on which a call with a long body has begun: its headers are sent."""
    connection = http2.connect(server.grpc)
    lines = [f"POST /kan_api.v1.{method} HTTP/1.1", "host: kan", f"content-length: {2**28}", *headers]
    text = "\r\n".join([*lines, f"authorization: {authorization}", "", ""])
    connection.sendall(text.encode("latin-1"))
    return connection


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize(
    "authorization",
    [
        *("", "Bearer", "Bearer ", f"Bearer {_EXPIRED}", "Bearer wrong", f"Basic {_TOKENS[1]}", f"Bearer {_FLAWED}"),
        *(f"Bearer {_TOKENS[1]}x", f"Bearer {_TOKENS[1][:-1]}", f"Bearer {sha256(_TOKENS[1])}"),
        *(
            f"Bearer {'z' * 50_000}",
            f"Bearer {_LONG}",
            f"Bearer {_TOKENS[0]}\r\nauthorization: Bearer {_TOKENS[0]}",
            f"Bearer a{' ' * 50_000}b",
        ),
    ],
    ids=lambda each: each[:20],
)
def test_no_body_is_held_without_a_valid_token(server: KanServe, authorization: str, method: str) -> None:
    """The call is refused once its headers are there, and is counted as such."""
    before = server.sample("kan_rejected_total", reason="unauthenticated")
    with _begun(server, method, authorization, "content-type: application/json") as connection:
        connection.sendall(b"{")
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 401 "), answer
    assert b'"code":16' in answer
    assert server.sample("kan_rejected_total", reason="unauthenticated") == before + 1


@pytest.mark.parametrize("token", _TOKENS, ids=map(str, _LENGTHS))
def test_a_body_with_a_token_is_bounded(server: KanServe, token: str) -> None:
    """Envoy knows a token of any length: it holds JSON up to the bound, and refuses it there."""
    answer = _flood(server, f"Bearer {token}")
    assert answer.startswith(b"HTTP/1.1 429 "), answer
    assert b"2097152 bytes" in answer


@pytest.mark.parametrize("authorization", ["bearer {}", "BEARER   {}", "Bearer \t {}"])
def test_a_token_is_known_as_python_knows_it(server: KanServe, authorization: str) -> None:
    """However the word is written, and with more blanks."""
    assert _flood(server, authorization.format(_TOKENS[1])).startswith(b"HTTP/1.1 429 ")


def test_tokens_that_come_and_go(tmp_path: Path) -> None:
    """Envoy follows the token file: it holds for a new token, and no more for one that was taken away."""
    write_version(tmp_path / "models", "affine")
    flags = ("--frontend", "envoy", "--tokens", str(_write(tmp_path, ["goes"])))
    with serving(tmp_path / "models", *flags, log=tmp_path / "log") as server:
        assert _flood(server, "Bearer goes").startswith(b"HTTP/1.1 429 ")
        _write(tmp_path, ["comes"])
        wait_for(lambda: _flood(server, "Bearer comes").startswith(b"HTTP/1.1 429 "))
        # Envoy knows a new token before Python takes it, and an old one until Python has taken the change.
        wait_for(lambda: _flood(server, "Bearer goes").startswith(b"HTTP/1.1 401 "))


@pytest.mark.parametrize("method", _METHODS)
def test_a_token_that_python_knows_first_is_answered(tmp_path: Path, method: str) -> None:
    """A call begins before Envoy finds its token, and Python has the token by then: it is refused with its headers.

    Such a call would wait for a body without a bound. The next one is held.
    """
    write_version(tmp_path / "models", "affine")
    flags = ("--frontend", "envoy", "--tokens", str(_write(tmp_path, _TOKENS[:1])))
    authorization = f"Bearer {_TOKENS[0]}"
    with serving(tmp_path / "models", *flags, log=tmp_path / "log") as server:
        hashes = server.envoy_folder() / "token-hashes"
        known = hashes.read_bytes()
        hashes.write_bytes(b"")
        with _begun(server, method, authorization, "content-type: application/json") as connection:
            connection.sendall(b'{"id": "')
            answer = read_answer(connection)
        assert answer.startswith(b"HTTP/1.1 401 "), answer
        assert b"send the call again" in answer
        assert server.sample("kan_rejected_total", reason="unauthenticated") == 1
        hashes.write_bytes(known)
        assert _flood(server, authorization).startswith(b"HTTP/1.1 429 ")


def _flood(server: KanServe, authorization: str) -> bytes:
    """What is answered while a body comes that is longer than the bound."""
    with _begun(server, "PredictionService/Predict", authorization, "content-type: application/json") as connection:
        connection.sendall(b'{"id": "')
        connection.setblocking(False)
        sent, piece = 0, b"x" * 2**16
        while sent < 2**25:
            readable, writable, _ = select.select([connection], [connection], (), 60)
            if readable or not writable:
                break
            sent += connection.send(piece)
        return read_answer(connection)
