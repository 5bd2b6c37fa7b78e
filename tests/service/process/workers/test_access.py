"""Tokens, certificates and the access log of two workers: each has the files, and the one /metrics tells of both."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

from tests.kit.callers.protocols import KanApi
from tests.kit.callers.tokens import bearer, secret, sha256, write_tokens
from tests.kit.models.repository import WriteModel
from tests.kit.server import metrics
from tests.kit.server.certificates import Authority, Pair, serial, shown_serial
from tests.kit.server.kan_serve import KanServe, Start, get
from tests.kit.server.workers import wait_for_workers, workers
from tests.kit.waiting import wait_for

_ROWS = np.ones((2, 4), np.float32)
# Connections enough that both workers get some: all on one of them has a chance of 2 in 2^30.
_CALLS = 30


def call(server: KanServe, token: str = "", ca: Path | None = None, mine: Pair | None = None) -> tuple[str, str]:
    """The code and the message of a call on a new connection, which a worker gets by chance."""
    metadata = bearer(token) if token else None
    if ca is None:
        channel = grpc.insecure_channel(server.grpc, server.options)
    else:
        own = () if mine is None else (mine.key.read_bytes(), mine.cert.read_bytes())
        credentials = grpc.ssl_channel_credentials(ca.read_bytes(), *own)
        channel = grpc.secure_channel(server.grpc, credentials, server.options)
    with channel:
        predict: Any = channel.unary_unary(KanApi.path)
        try:
            predict(KanApi.request("affine", _ROWS), timeout=60, metadata=metadata)
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""
    return "OK", ""


def codes(server: KanServe, token: str = "", ca: Path | None = None, mine: Pair | None = None) -> set[str]:
    """How calls on many connections end."""
    return {call(server, token, ca, mine)[0] for _ in range(_CALLS)}


def copies(server: KanServe) -> list[Path]:
    """The copies of certificates and keys that the workers with Envoy have."""
    lines = [process.cmdline() for process in server.processes()]
    folders = [Path(line[line.index("--config-path") + 1]).parent for line in lines if "--config-path" in line]
    return [file for folder in folders for file in folder.glob("last-valid/*")]


def test_both_workers_ask_for_tokens_and_write_one_log(
    two_workers: Start, write_model: WriteModel, tmp_path: Path
) -> None:
    """Every worker speaks TLS and asks for tokens; /metrics, on a port of its own, has their sums, and the one access
    log a whole line for each call.
    """
    write_model("affine")
    authority, log = Authority(tmp_path / "certificates"), tmp_path / "access.log"
    pair, tokens = authority.issue("server"), write_tokens(tmp_path / "tokens.toml", alice="")
    server = two_workers(
        *("--tls-cert", str(pair.cert), "--tls-key", str(pair.key), "--tokens", str(tokens)),
        *("--access-log", str(log)),
    )
    assert codes(server, "alice", authority.file) == {"OK"}
    assert codes(server, ca=authority.file) == {"UNAUTHENTICATED"}
    assert codes(server, "alice") == {"UNAVAILABLE"}  # plain text
    families = metrics.read(server.metrics)
    assert metrics.total(families, "kan_rejected_total", reason="unauthenticated") == _CALLS
    assert metrics.total(families, "kan_access_file_valid") == 2  # one series for tokens, one for certificates
    assert metrics.total(families, "kan_access_log_lost_total") == 0
    assert (get(server.http, "/metrics")[0], get(server.http, "/readyz")) == (404, (200, "ok\n"))
    code, said = server.stop()
    assert (code, "Traceback" in said) == (0, False)
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert [line["token"] for line in lines].count("alice") == _CALLS == len(lines) / 2


def test_both_workers_take_new_files(two_workers: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """A token that is replaced is refused by both; a file that one of them finds invalid shows in the one gauge, and
    the last valid tokens stay in use.
    """
    write_model("affine")
    tokens = write_tokens(tmp_path / "tokens.toml", alice="")
    server = two_workers("--tokens", str(tokens))
    write_tokens(tokens, bob="")
    wait_for(lambda: codes(server, "bob") == {"OK"}, "the new token")
    assert codes(server, "alice") == {"UNAUTHENTICATED"}
    tokens.write_text("[tokens")
    wait_for(lambda: server.sample("kan_access_file_valid", file="tokens") == 0, "the invalid file")
    assert codes(server, "bob") == {"OK"}
    write_tokens(tokens, bob="")
    wait_for(lambda: server.sample("kan_access_file_valid", file="tokens") == 1, "the valid file")


def test_a_worker_starts_with_the_last_valid_tokens(
    two_workers: Start, write_model: WriteModel, tmp_path: Path
) -> None:
    """While the token file is invalid or gone, a new worker has the tokens that the other workers took last. The log
    says so, and no process has a token in its arguments or its environment.
    """
    write_model("affine")
    tokens = write_tokens(tmp_path / "tokens.toml", alice="")
    server = two_workers("--tokens", str(tokens))
    write_tokens(tokens, bob="")
    wait_for(lambda: server.log.read_text().count("token file: taken anew") == 2, "the new token")
    for restarts, is_there in ((1, True), (2, False)):
        if is_there:
            tokens.write_text("[tokens")
        else:
            tokens.unlink()
        workers(server)[0].kill()
        wait_for_workers(server, 2, restarts=restarts)
        assert (codes(server, "bob"), codes(server, "alice")) == ({"OK"}, {"UNAUTHENTICATED"})
        assert server.is_ready()
    assert "it is no TOML" in server.log.read_text()
    assert "cannot be read: No such file or directory; the last valid content stays in use" in server.log.read_text()
    for process in server.processes():
        assert sha256(secret("bob")) not in f"{process.cmdline()}{process.environ()}"
    write_tokens(tokens, alice="")
    wait_for(lambda: codes(server, "alice") == {"OK"}, "the valid file")
    wait_for(lambda: server.sample("kan_access_file_valid", file="tokens") == 1, "the gauge")


def test_a_worker_starts_with_the_last_valid_certificate(
    two_workers: Start, write_model: WriteModel, tmp_path: Path
) -> None:
    """While key and certificate are no pair, with the authorities of callers too. Both take the next valid pair, and
    no copy of a key stays behind.
    """
    write_model("affine")
    authority = Authority(tmp_path / "certificates")
    pair, mine = authority.issue("server"), authority.issue("caller")
    ours = ("--tls-cert", str(pair.cert), "--tls-key", str(pair.key), "--tls-client-ca", str(authority.file))
    server = two_workers(*ours)
    before = serial(pair.cert.read_bytes())
    pair.cert.write_text("no certificate")
    for restarts in (1, 2):
        workers(server)[0].kill()
        wait_for_workers(server, 2, restarts=restarts)
    assert {shown_serial(server.grpc, mine) for _ in range(_CALLS)} == {before}
    wait_for(lambda: server.sample("kan_access_file_valid", file="certificates") == 0, "the gauge")
    assert {file.stat().st_mode & 0o777 for file in copies(server)} <= {0o600}
    after = serial(authority.issue("server").cert.read_bytes())
    wait_for(lambda: {shown_serial(server.grpc, mine) for _ in range(_CALLS)} == {after}, "the new certificate")
    assert codes(server, ca=authority.file) == {"UNAVAILABLE"}  # without a certificate
    assert codes(server, ca=authority.file, mine=mine) == {"OK"}
    # A worker writes its gauges twice a second.
    wait_for(lambda: server.sample("kan_access_file_valid", file="certificates") == 1, "the gauge")
    wait_for(lambda: copies(server) == [], "the copies to go")


def test_both_workers_take_a_new_certificate(two_workers: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """After a rotation every new connection is shown the new certificate, whichever worker gets it."""
    write_model("affine")
    authority = Authority(tmp_path / "certificates")
    pair = authority.issue("server")
    server = two_workers("--tls-cert", str(pair.cert), "--tls-key", str(pair.key))
    before = serial(pair.cert.read_bytes())
    assert {shown_serial(server.grpc) for _ in range(_CALLS)} == {before}
    after = serial(authority.issue("server").cert.read_bytes())
    wait_for(lambda: {shown_serial(server.grpc) for _ in range(_CALLS)} == {after}, "the new certificate")
    assert codes(server, ca=authority.file) == {"OK"}
    wait_for(lambda: server.sample("kan_access_file_valid", file="certificates") == 1, "the gauge")


def test_no_process_keeps_the_file_with_the_last_valid_tokens(two_workers: Start, write_model: WriteModel) -> None:
    """It is read once by each worker that starts. The same user could read it later in /proc."""
    write_model("affine")
    server = two_workers()

    def keepers() -> list[Path]:
        parent, found = psutil.Process(server.process.pid), []
        for process in [parent, *parent.children(recursive=True)]:
            for file in Path(f"/proc/{process.pid}/fd").iterdir():
                with suppress(FileNotFoundError):  # closed meanwhile
                    found += [file] if "kan-serve-given" in str(file.readlink()) else []
        return found

    wait_for(lambda: not keepers(), "the files are closed")


def test_a_quota_spans_workers(two_workers: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """One request of all workers, and the wait of one process, for the quota of a token as of a model. A worker that
    is started again gives nothing more. The refusals are counted together, and stay counted after a kill.
    """
    write_model("affine")
    tokens = write_tokens(tmp_path / "tokens.toml", alice="rows_per_second = 2e-6", bob="")
    file = tmp_path / "kan-serve.toml"
    file.write_text("[models.affine]\nquota_rows_per_second = 4e-6\n")
    server = two_workers("--tokens", str(tokens), "--config", str(file))
    ended = [call(server, "alice") for _ in range(_CALLS)]
    assert [code for code, _ in ended].count("OK") == 1
    told = {text for code, text in ended if code == "RESOURCE_EXHAUSTED"}
    assert len(told) == 1
    assert "'alice' may send 2e-06 rows a second; send it again after 1e+06 s" in told.pop()
    # The first row came from the model's quota too.
    code, text = call(server, "bob")
    asked = "quota of 4e-06 rows a second; come again after 5e+05 s"
    assert (code, asked in text) == ("RESOURCE_EXHAUSTED", True)
    assert server.sample("kan_rejected_total", reason="quota") == _CALLS - 1 + 1
    workers(server)[0].kill()
    wait_for_workers(server, 2, restarts=1)
    assert server.sample("kan_rejected_total", reason="quota") == _CALLS - 1 + 1
    assert {call(server, "alice")[0] for _ in range(_CALLS)} == {"RESOURCE_EXHAUSTED"}


def test_a_token_file_that_is_wrong_stops_the_start(
    two_workers: Start, write_model: WriteModel, tmp_path: Path
) -> None:
    """As with one process: the file and the reason in the last line of the log."""
    write_model("affine")
    tokens = tmp_path / "tokens.toml"
    tokens.write_text("[tokens")
    with pytest.raises(AssertionError, match=r"kan-serve: token file .*tokens\.toml"):
        two_workers("--tokens", str(tokens))
