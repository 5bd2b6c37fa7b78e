"""TLS and mTLS on the gRPC port of both front ends, and the rotation of certificates."""

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from service.access.access_log import MOST_LINE_BYTES
from service.client import TLS, Client, Unavailable
from tests.kit.callers import http2
from tests.kit.callers.calls import predict
from tests.kit.callers.protocols import KanApi
from tests.kit.callers.tokens import bearer, secret
from tests.kit.models.graphs import Answer
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.certificates import Authority, Key, Pair, ends, serial, shown_serial
from tests.kit.server.kan_serve import KanServe, Start, run_kan_serve, starter
from tests.kit.server.relay import relayed
from tests.kit.waiting import until_elsewhere, wait_for


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Signs the certificates of a test."""
    return Authority(tmp_path / "certificates")


def _flags(pair: Pair, *more: str) -> list[str]:
    return ["--tls-cert", str(pair.cert), "--tls-key", str(pair.key), *more]


def _channel(address: str, ca: Path, pair: Pair | None = None) -> grpc.aio.Channel:
    cert, key = (pair.cert.read_bytes(), pair.key.read_bytes()) if pair else (None, None)
    credentials = grpc.ssl_channel_credentials(ca.read_bytes(), key, cert)
    return grpc.aio.secure_channel(address, credentials, options=KanServe.options)


@dataclass(frozen=True)
class Both:
    """A server with TLS, one without, and who signed the certificate of the first."""

    secure: KanServe
    plain: KanServe
    authority: Authority


@pytest.fixture(scope="module")
def both(frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Two servers; the tests that leave them as they are share them."""
    folder = tmp_path_factory.mktemp("tls")
    write_version(folder / "models", "affine")
    authority = Authority(folder / "certificates")
    with starter(folder / "models", folder, "--frontend", frontend) as start:
        yield Both(start(*_flags(authority.issue("server"))), start(), authority)


async def _code(channel: grpc.aio.Channel) -> str:
    try:
        await predict(channel, "affine")
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


def test_calls_are_encrypted(both: Both, answer: Answer) -> None:
    """Nothing of a call can be read on its way: neither its method and its token nor its rows and their answers. In
    plain text all of that can be read.
    """
    rows = np.random.default_rng(7).normal(size=(16, 4)).astype(np.float32)
    request = KanApi.request("affine", rows)

    async def read(server: KanServe, ca: Path | None) -> list[bool]:
        """Whether what passes has the method, the token, the rows and the answer."""
        with relayed(server.grpc, is_plain=ca is None) as relay:
            async with _channel(relay.address, ca) if ca else grpc.aio.insecure_channel(relay.address) as channel:
                method: Any = channel.unary_unary(KanApi.path)
                (_, _, values) = KanApi.answer(await method(request, timeout=60, metadata=bearer("alice")))
        np.testing.assert_allclose(values, answer("affine", rows).ravel(), rtol=1e-5)
        sent, received = (bytes(each) for each in relay.seen)
        assert len(sent) > len(request)
        assert len(received) > values.nbytes
        parts = (b"PredictionService", secret("alice").encode(), rows.tobytes()[:16])
        return [*(part in sent for part in parts), values.astype(np.float32).tobytes()[:16] in received]

    assert asyncio.run(read(both.secure, both.authority.file)) == [False] * 4
    assert asyncio.run(read(both.plain, None)) == [True] * 4


def test_servers_of_other_authorities_get_no_call(both: Both, tmp_path: Path) -> None:
    """With a certificate of the caller's authority a call is answered; with that of another it never leaves."""
    other = Authority(tmp_path / "other")

    async def check() -> None:
        async with _channel(both.secure.grpc, both.authority.file) as channel:
            assert await _code(channel) == "OK"
        async with _channel(both.secure.grpc, other.file) as channel:
            assert await _code(channel) == "UNAVAILABLE"

    asyncio.run(check())


def test_plain_text_to_a_tls_port_and_the_reverse(both: Both) -> None:
    """Either is UNAVAILABLE at once, no call hangs, and the server goes on."""

    async def check() -> None:
        async with both.secure.channel() as channel:
            assert await _code(channel) == "UNAVAILABLE"
        async with _channel(both.plain.grpc, both.authority.file) as channel:
            assert await _code(channel) == "UNAVAILABLE"
        async with _channel(both.secure.grpc, both.authority.file) as channel:
            assert await _code(channel) == "OK"
        async with both.plain.channel() as channel:
            assert await _code(channel) == "OK"

    asyncio.run(check())
    assert both.secure.is_ready()  # the probes' port is plain


def test_a_handshake_that_never_ends_is_cut(both: Both) -> None:
    """A connection that sends nothing, or half of its first message, is closed after ten seconds."""
    half_hello = bytes.fromhex("160301020001000100")
    with http2.connect(both.secure.grpc) as silent, http2.connect(both.secure.grpc) as half:
        half.sendall(half_hello)
        for connection in (silent, half):
            with suppress(ConnectionResetError):
                while connection.recv(65536):
                    pass

    async def check() -> None:
        async with _channel(both.secure.grpc, both.authority.file) as channel:
            assert await _code(channel) == "OK"

    asyncio.run(check())


def test_a_caller_needs_a_certificate(
    start: Start, write_model: WriteModel, authority: Authority, tmp_path: Path
) -> None:
    """With --tls-client-ca only callers with a valid certificate of that authority are answered; the access log names
    its subject.
    """
    write_model("affine")
    log = tmp_path / "access.log"
    callers = Authority(tmp_path / "callers", "callers")
    flags = ["--tls-client-ca", str(callers.file), "--access-log", str(log)]
    server = start(*_flags(authority.issue("server"), *flags))
    foreign = Authority(tmp_path / "foreign").issue("alice")

    async def check() -> None:
        wanted = {None: "UNAVAILABLE", foreign: "UNAVAILABLE", callers.issue("old", days=-1): "UNAVAILABLE"}
        wanted[callers.issue("alice")] = "OK"
        for pair, code in wanted.items():
            async with _channel(server.grpc, authority.file, pair) as channel:
                assert await _code(channel) == code, pair

    asyncio.run(check())
    assert server.stop()[0] == 0
    (line,) = log.read_text().splitlines()
    assert "alice" in line


def test_a_long_subject_breaks_no_line(
    start: Start, write_model: WriteModel, authority: Authority, tmp_path: Path
) -> None:
    """A caller's certificate may name as much as its authority likes: the line of an answered call is cut, and that of
    a call that is refused for its length, which Envoy writes.
    """
    write_model("affine")
    log = tmp_path / "access.log"
    flags = ["--tls-client-ca", str(authority.file), "--access-log", str(log), "--max-message-bytes", "100000"]
    server = start(*_flags(authority.issue("server"), *flags))
    alice = authority.issue("alice", units=[f"{each}" * 64 for each in range(10)] * 9)

    async def check() -> None:
        async with _channel(server.grpc, authority.file, alice) as channel:
            assert await _code(channel) == "OK"
            method: Any = channel.unary_unary("/kan_api.v1.PredictionService/Predict")
            with pytest.raises(grpc.aio.AioRpcError):
                await method(bytes(200_000), timeout=60)

    asyncio.run(check())
    assert server.stop()[0] == 0
    lines = log.read_bytes().splitlines(keepends=True)
    assert max(map(len, lines)) <= MOST_LINE_BYTES
    assert all("OU=9999" in json.loads(line)["certificate"] for line in lines)


@pytest.mark.parametrize("how", ["in place", "by rename", "as kubernetes"])
def test_certificates_rotate_under_load(
    start: Start, write_model: WriteModel, authority: Authority, tmp_path: Path, how: str
) -> None:
    """New connections see the new certificate soon, however its files were replaced, and no call fails meanwhile."""
    write_model("affine")
    folder = tmp_path / "mounted"
    pair = _mount(folder, authority.issue("server"), how)
    server = start(*_flags(pair))
    before = shown_serial(server.grpc)
    over = asyncio.Event()
    answered = 0

    async def load(channel: grpc.aio.Channel) -> None:
        nonlocal answered
        while not over.is_set():
            await predict(channel, "affine")
            answered += 1

    async def connect() -> None:
        """A new connection for each call."""
        nonlocal answered
        while not over.is_set():
            async with _channel(server.grpc, authority.file) as channel:
                await predict(channel, "affine")
                answered += 1

    async def check() -> None:
        async with _channel(server.grpc, authority.file) as channel:
            callers = [asyncio.create_task(each) for each in (load(channel), load(channel), connect(), connect())]
            new = authority.issue("server")
            _mount(folder, new, how)
            wanted = serial(new.cert.read_bytes())
            await until_elsewhere(lambda: shown_serial(server.grpc) == wanted)
            over.set()
            await asyncio.gather(*callers)

    asyncio.run(check())
    assert answered > 8  # each caller about two; on a busy machine no more
    assert shown_serial(server.grpc) != before
    wait_for(lambda: server.sample("kan_access_file_valid", file="certificates") == 1, "the gauge")


def _mount(folder: Path, pair: Pair, how: str) -> Pair:
    """Put a pair where the server looks, as an operator, a careful program or Kubernetes does."""
    mounted = Pair(folder / "tls.crt", folder / "tls.key")
    folder.mkdir(exist_ok=True)
    if how == "as kubernetes":
        number = len(list(folder.iterdir()))
        (folder / f"..{number}").mkdir()
        shutil.copy(pair.cert, folder / f"..{number}" / "tls.crt")
        shutil.copy(pair.key, folder / f"..{number}" / "tls.key")
        (folder / "..new").symlink_to(f"..{number}")
        os.replace(folder / "..new", folder / "..data")
        for file in (mounted.cert, mounted.key):
            if not file.is_symlink():
                file.symlink_to(f"..data/{file.name}")
        return mounted
    for source, file in ((pair.cert, mounted.cert), (pair.key, mounted.key)):
        if how == "in place":
            shutil.copy(source, file)
        else:
            shutil.copy(source, folder / "new")
            os.replace(folder / "new", file)
    return mounted


def test_the_authority_of_callers_rotates(
    start: Start, write_model: WriteModel, authority: Authority, tmp_path: Path
) -> None:
    """A caller of the new authority is let in soon after the file changed, and one of the old is not any more."""
    write_model("affine")
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    file = tmp_path / "callers.pem"
    shutil.copy(old.file, file)
    server = start(*_flags(authority.issue("server"), "--tls-client-ca", str(file)))

    async def code(pair: Pair) -> str:
        async with _channel(server.grpc, authority.file, pair) as channel:
            return await _code(channel)

    async def check() -> None:
        first, second = old.issue("first"), new.issue("second")
        assert (await code(first), await code(second)) == ("OK", "UNAVAILABLE")
        shutil.copy(new.file, file)
        async with asyncio.timeout(60):
            while (await code(first), await code(second)) != ("UNAVAILABLE", "OK"):
                pass

    asyncio.run(check())


def test_broken_certificates_change_nothing(start: Start, write_model: WriteModel, authority: Authority) -> None:
    """A key that does not fit, half a file, none, or a certificate that has expired: the old pair stays in use, and log
    and metric say so.
    """
    write_model("affine")
    key = ec.generate_private_key(ec.SECP256R1())
    expired = authority.issue("expired", days=-1, key=key).cert.read_bytes()
    pair = authority.issue("server", key=key)
    server = start(*_flags(pair))
    before, cert = shown_serial(server.grpc), pair.cert.read_bytes()
    foreign = authority.issue("other")

    def is_refused() -> bool:
        return server.sample("kan_access_file_valid", file="certificates") == 0

    def is_valid() -> bool:
        return not is_refused()

    for broken in (foreign.cert.read_bytes(), cert[: len(cert) // 2], b"", expired):
        pair.cert.write_bytes(broken)
        wait_for(is_refused)
        assert shown_serial(server.grpc) == before
        pair.cert.write_bytes(cert)
        wait_for(is_valid)
    code, log = server.stop()
    assert code == 0
    assert log.count("the last valid content stays in use") == 4
    assert "the certificate expired on" in log


def test_a_start_with_an_expired_certificate_is_a_warning(
    start: Start, write_model: WriteModel, authority: Authority
) -> None:
    """The server starts, since not to start would help no caller. Log and metric have the date, until a renewal.

    A caller learns who has to renew it.
    """
    write_model("affine")
    pair = authority.issue("server", days=-1)
    server = start(*_flags(pair))
    name = "kan_certificate_expires_timestamp_seconds"
    assert server.sample(name) == ends(pair.cert.read_bytes())
    with (
        Client(server.grpc, tls=TLS(authority.file), max_attempts=1) as client,
        pytest.raises(Unavailable, match=r"\(certificate has expired\); its operator has to renew it"),
    ):
        client.models()
    renewed = authority.issue("server")
    wait_for(lambda: server.sample(name) == ends(renewed.cert.read_bytes()), "the metric")

    async def check() -> None:
        async with _channel(server.grpc, authority.file) as channel:
            assert await _code(channel) == "OK"

    asyncio.run(check())
    warnings = [line for line in server.stop()[1].splitlines() if "WARNING" in line]
    assert len(warnings) == 1
    assert "the certificate of the gRPC port expired on" in warnings[0]


def test_a_certificate_that_expires_while_the_server_runs(
    start: Start, write_model: WriteModel, authority: Authority
) -> None:
    """One warning that its end is near, and one when it has come."""
    write_model("affine")
    server = start(*_flags(authority.issue("server", days=40 / 86400)))
    wait_for(lambda: "the certificate of the gRPC port expired on" in server.log.read_text(), "the warning")
    warnings = [line for line in server.stop()[1].splitlines() if "WARNING" in line]
    assert len(warnings) == 2
    assert "in less than 2 days: renew it" in warnings[0]
    assert "callers refuse it; renew it" in warnings[1]


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)],
    ids=["P-384", "RSA"],
)
def test_other_kinds_of_keys_are_served(start: Start, write_model: WriteModel, authority: Authority, key: Key) -> None:
    """A caller is answered."""
    write_model("affine")
    server = start(*_flags(authority.issue("server", key=key)))

    async def check() -> None:
        async with _channel(server.grpc, authority.file) as channel:
            assert await _code(channel) == "OK"

    asyncio.run(check())


_UNUSABLE: dict[str, Key] = {
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
}


@pytest.mark.parametrize("kind", _UNUSABLE)
def test_a_key_that_tls_here_cannot_use(authority: Authority, frontend: str, kind: str) -> None:
    """The start says which kinds it can use: with such a key each handshake would fail."""
    pair = authority.issue("server", key=_UNUSABLE[kind])
    done = run_kan_serve(authority.file.parent, "--frontend", frontend, *_flags(pair))
    assert done.returncode == 1
    assert "wanted RSA, or ECDSA with P-256" in done.stderr.splitlines()[-1]


def test_a_rotation_to_a_key_that_tls_here_cannot_use(
    start: Start, write_model: WriteModel, authority: Authority
) -> None:
    """The old pair stays in use, and the metric says so."""
    write_model("affine")
    server = start(*_flags(authority.issue("server")))
    before = shown_serial(server.grpc)
    authority.issue("server", key=_UNUSABLE["Ed25519"])
    wait_for(lambda: server.sample("kan_access_file_valid", file="certificates") == 0)
    wait_for(lambda: "wanted RSA, or ECDSA" in server.log.read_text())
    assert shown_serial(server.grpc) == before


@pytest.mark.parametrize(
    ("cert", "key", "ca", "word"),
    [
        ("one.crt", "two.key", "", "no pair"),
        ("one.key", "one.crt", "", "no pair"),
        ("absent", "one.key", "", "cannot be read"),
        ("one.crt", "one.key", "empty.pem", "no certificate of an authority"),
        ("one.crt", "one.key", "one.key", "no certificate of an authority"),
        ("one.crt", "encrypted.key", "", "encrypted"),
    ],
)
def test_a_start_needs_certificates_that_fit(
    authority: Authority, frontend: str, cert: str, key: str, ca: str, word: str
) -> None:
    """Files that do not fit are one line and exit code 1; an empty file of authorities never means all of them."""
    folder = authority.file.parent
    (folder / "encrypted.key").write_bytes(_encrypted(authority.issue("one").key))
    (folder / "empty.pem").touch()
    authority.issue("two")
    flags = ["--tls-cert", str(folder / cert), "--tls-key", str(folder / key)]
    flags += ["--tls-client-ca", str(folder / ca)] if ca else []
    done = run_kan_serve(folder, "--frontend", frontend, *flags)
    assert done.returncode == 1
    assert word in done.stderr.splitlines()[-1]


def _encrypted(key: Path) -> bytes:
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"password")
    return loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
