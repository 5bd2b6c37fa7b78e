"""The client's TLS and token, against real servers."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.client import TLS, AsyncClient, Client, Forbidden, Overloaded, Prediction, Unauthenticated, Unavailable
from service.client.cli import main
from tests.kit.callers.tokens import secret, write_tokens
from tests.kit.models.repository import write_version
from tests.kit.server.certificates import Authority
from tests.kit.server.kan_serve import FRONTENDS, KanServe, starter

_ROWS = np.ones((3, 4), np.float32)


class _Secured:
    """A server with mTLS and tokens, and what its callers need."""

    def __init__(self, server: KanServe, authority: Authority, folder: Path) -> None:
        self.server, self.authority, self.folder = server, authority, folder
        own = authority.issue("caller")
        self.tls = TLS(authority.file, own.cert, own.key)
        self.flags = ["--address", server.grpc, "--ca", str(authority.file), "--cert", str(own.cert)]
        self.flags += ["--key", str(own.key)]


@pytest.fixture(scope="module", params=FRONTENDS)
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The server for this file, of each front end."""
    folder = tmp_path_factory.mktemp("secured")
    write_version(folder / "models", "affine")
    authority = Authority(folder / "certificates")
    pair = authority.issue("server")
    rights = {"alice": "", "bob": 'models = ["other"]', "few": "rows_per_second = 0.001"}
    rights["slow"] = "rows_per_second = 1"
    rights["fast"] = "rows_per_second = 3000"
    tokens = write_tokens(folder / "tokens.toml", **rights)
    flags = ["--tls-cert", str(pair.cert), "--tls-key", str(pair.key), "--tls-client-ca", str(authority.file)]
    flags += ["--frontend", request.param, "--tokens", str(tokens)]
    with starter(folder / "models", folder) as start:
        yield _Secured(start(*flags), authority, folder)


@pytest.mark.parametrize("given", ["alice", "bob"])
def test_the_list_of_a_token_without_models(
    secured: _Secured, given: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token whose models are not there is told of itself, and not that the server has none."""
    monkeypatch.setenv("KAN_TOKEN", secret(given))
    assert main(["models", *secured.flags]) == 0
    told = capsys.readouterr()
    assert ("affine" in told.out) == (given == "alice")
    assert ("has no models that the token may use" in told.err) == (given == "bob")


def test_the_http_port_is_told_with_tls(secured: _Secured, capsys: pytest.CaptureFixture[str]) -> None:
    """A client with TLS that calls the port for metrics learns which port it is."""
    flags = ["--address", secured.server.http, *secured.flags[2:]]
    assert main(["models", *flags]) == 1
    assert "does not speak gRPC: it is the HTTP port of a kan-serve" in capsys.readouterr().err


def test_the_line_tells_tls_and_tokens(secured: _Secured) -> None:
    """Scripts that read the other words of the line find them as before."""
    assert " tls=mutual tokens=on models=affine/1" in secured.server.line


def test_all_methods_work_with_tls_and_a_token(secured: _Secured) -> None:
    """Each method of both clients passes with a certificate and a token."""
    with Client(secured.server.grpc, tls=secured.tls, token=secret("alice")) as client:
        assert _rows(client.predict("affine", _ROWS)) == 3
        assert [_rows(each) for each in client.predict_stream("affine", [_ROWS] * 3)] == [3, 3, 3]
        assert [each.name for each in client.models()] == ["affine"]
        assert client.manifest("affine").features
        assert client.health("affine").name == "SERVING"

    async def check() -> None:
        async with AsyncClient(secured.server.grpc, tls=secured.tls, token=lambda: secret("alice")) as client:
            assert _rows(await client.predict("affine", _ROWS)) == 3
            assert [_rows(each) async for each in client.predict_stream("affine", [_ROWS] * 3)] == [3, 3, 3]
            assert (await client.health("affine")).name == "SERVING"

    asyncio.run(check())


@pytest.mark.parametrize("several", [False, True])
def test_health_is_asked_with_the_token(secured: _Secured, several: bool) -> None:
    """A channel that waits for ready servers, or spreads calls over several, asks for their health with the token."""
    address = ",".join([secured.server.grpc] * 2) if several else secured.server.grpc
    before = secured.server.sample("kan_rejected_total", reason="unauthenticated")
    tls = replace(secured.tls, server_name="localhost") if several else secured.tls
    given: dict[str, Any] = {"tls": tls, "token": secret("alice"), "wait_for_ready": True, "max_attempts": 1}
    with Client(address, **given) as client:
        assert _rows(client.predict("affine", _ROWS)) == 3

    async def check() -> None:
        async with AsyncClient(address, **given) as client:
            assert _rows(await client.predict("affine", _ROWS)) == 3

    asyncio.run(check())
    assert secured.server.sample("kan_rejected_total", reason="unauthenticated") == before


@pytest.mark.parametrize("token", [None, "wrong"])
def test_without_a_valid_token(secured: _Secured, token: str | None) -> None:
    """The error says that the token is missing or unknown, by unary call and by stream, and quotes none."""
    with Client(secured.server.grpc, tls=secured.tls, token=token) as client:
        for call in (lambda: client.predict("affine", _ROWS), lambda: list(client.predict_stream("affine", [_ROWS]))):
            with pytest.raises(Unauthenticated, match="token") as caught:
                call()
            assert "wrong" not in str(caught.value)


def test_beyond_the_rights_and_the_quota(secured: _Secured) -> None:
    """A foreign model is Forbidden; rows beyond the quota are Overloaded and say when they may come."""
    bob = Client(secured.server.grpc, tls=secured.tls, token=secret("bob"))
    with bob, pytest.raises(Forbidden, match="bob"):
        bob.predict("affine", _ROWS)

    def predict_twice() -> None:
        with Client(secured.server.grpc, tls=secured.tls, token=secret("few"), max_attempts=1) as client:
            client.predict("affine", _ROWS)
            client.predict("affine", _ROWS)

    with pytest.raises(Overloaded, match="rows a second") as caught:
        predict_twice()
    assert (caught.value.retry_after_seconds or 0) > 100
    assert "overloaded" not in str(caught.value)  # the server has room


def test_a_refusal_can_be_raised_at_once(secured: _Secured) -> None:
    """With wait=False both clients say when to send the rows again, and do not wait."""
    given: dict[str, Any] = {"tls": secured.tls, "token": secret("slow")}
    with Client(secured.server.grpc, **given) as client:
        assert client.request_rows(client.manifest("affine")) == 512
        client.predict("affine", np.ones((6, 4)))
        with pytest.raises(Overloaded) as caught:
            client.predict("affine", _ROWS, wait=False)
    assert 0 < (caught.value.retry_after_seconds or 0) <= 6  # a wait that fits into the time-out

    async def check() -> None:
        async with AsyncClient(secured.server.grpc, **given) as client:
            assert client.request_rows(await client.manifest("affine")) == 512
            with pytest.raises(Overloaded):
                await client.predict("affine", _ROWS, wait=False)

    asyncio.run(check())


def test_a_client_waits_for_its_quota(secured: _Secured) -> None:
    """A table of more rows than a second's is sent at the quota's pace by itself, and none of it is lost."""
    with Client(secured.server.grpc, 60, tls=secured.tls, token=secret("fast")) as client:
        assert _rows(client.predict("affine", np.ones((6000, 4), np.float32))) == 6000


def test_a_token_from_a_function_is_asked_for_each_call(secured: _Secured) -> None:
    """A client whose token is replaced goes on with the new one."""
    current = "old"
    with Client(secured.server.grpc, tls=secured.tls, token=lambda: current) as client:
        with pytest.raises(Unauthenticated):
            client.models()
        current = secret("alice")
        assert client.models()


def test_servers_that_are_not_trusted(secured: _Secured, tmp_path: Path) -> None:
    """A server of another authority, of another name, or a missing certificate of our own: Unavailable at once."""
    other = Authority(tmp_path / "other")
    for tls in (
        TLS(other.file, secured.tls.cert, secured.tls.key),
        TLS(secured.authority.file),
        TLS(secured.authority.file, secured.tls.cert, secured.tls.key, server_name="elsewhere.example"),
        None,
    ):
        client = Client(secured.server.grpc, tls=tls, token=secret("alice"), max_attempts=1)
        with client, pytest.raises(Unavailable):
            client.models()
    client = Client(secured.server.grpc, tls=TLS(other.file), max_attempts=1)
    with client, pytest.raises(Unavailable, match="do not trust each other"):
        client.models()


def test_a_certificate_for_another_name(secured: _Secured) -> None:
    """With server_name the address may be another than the name in the certificate."""
    tls = TLS(secured.authority.file, secured.tls.cert, secured.tls.key, server_name="localhost")
    with Client(secured.server.grpc, tls=tls, token=secret("alice")) as client:
        assert client.models()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda one: TLS(one.folder / "absent"), "cannot be read"),
        (lambda one: TLS(one.folder / "empty"), "no certificate of an authority"),
        (lambda one: TLS(one.tls.key), "no certificate of an authority"),
        (lambda one: TLS(one.tls.ca, one.tls.cert), "belong together"),
        (lambda one: TLS(one.tls.ca, one.tls.key, one.tls.cert), "no certificate and its private key"),
        (lambda one: str(one.tls.ca), r"wanted TLS\(ca=\.\.\.\)"),
        (lambda _one: True, r"tls is True, wanted TLS\(ca=\.\.\.\)"),
    ],
    ids=["absent", "empty", "key", "half", "swapped", "a path", "true"],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_files_that_do_not_fit(
    secured: _Secured, make: Callable[[_Secured], Any], word: str, kind: type[Client] | type[AsyncClient]
) -> None:
    """Wrong files and what is no TLS are refused at once; an empty --ca never means every public authority."""
    (secured.folder / "empty").touch()
    with pytest.raises(ValueError, match=word):
        kind(secured.server.grpc, tls=make(secured))


def test_a_list_of_addresses_needs_the_name_of_their_certificates(secured: _Secured) -> None:
    """GRPC would look for the whole list in the certificate, so the name must be given."""
    with pytest.raises(ValueError, match="server_name"):
        Client(["127.0.0.1:8001", "127.0.0.2:8001"], tls=secured.tls)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "é"])
def test_a_token_that_cannot_be_sent(token: str) -> None:
    """A token that cannot stand in a header is refused without quoting it."""
    with pytest.raises(ValueError, match="wanted what kan-serve token printed"):
        Client("127.0.0.1:8001", token=token)


def test_a_token_with_the_line_break_of_its_file() -> None:
    """The message names the line break, which nobody sees, and does not quote the token."""
    with pytest.raises(ValueError, match="line break") as refusal:
        Client("127.0.0.1:8001", token="kan_secret\n")
    assert "secret" not in str(refusal.value)


def test_the_command(
    secured: _Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """kan-client takes certificates as flags or variables, and the token from a file or KAN_TOKEN."""
    file = tmp_path / "token"
    file.write_text(secret("alice") + "\n")
    run: Callable[..., int] = partial(_run, secured.flags)
    assert run("models", "--token-file", str(file)) == 0
    assert "affine" in capsys.readouterr().out
    assert run("models") == 2
    assert "authorization: Bearer TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("KAN_TOKEN", secret("bob"))
    assert run("describe", "affine") == 2
    assert "may not use model 'affine'" in capsys.readouterr().err
    monkeypatch.setenv("KAN_TOKEN", secret("alice"))
    assert run("health", "affine") == 0
    assert run("models", "--token-file", str(tmp_path / "absent")) == 2
    assert run("models", "--ca", str(tmp_path / "absent")) == 2
    monkeypatch.setenv("KAN_CA", str(secured.tls.ca))
    monkeypatch.setenv("KAN_CERT", str(secured.tls.cert))
    monkeypatch.setenv("KAN_KEY", str(secured.tls.key))
    assert main(["models", "--address", secured.server.grpc]) == 0
    monkeypatch.delenv("KAN_CA")
    assert main(["models", "--address", secured.server.grpc]) == 2
    assert "give --ca too" in capsys.readouterr().err


def _rows(prediction: Prediction) -> int:
    (values,) = prediction.outputs.values()
    return len(values)


def _run(flags: list[str], command: str, *rest: str) -> int:
    return main([command, *flags, *rest])
