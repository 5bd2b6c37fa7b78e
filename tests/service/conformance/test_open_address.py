"""A server that others can reach says so once, unless it is told that this is meant."""

import signal
from pathlib import Path

import pytest

from tests.kit.callers.tokens import write_tokens
from tests.kit.models.repository import WriteModel
from tests.kit.server.certificates import Authority
from tests.kit.server.kan_serve import Start, get
from tests.kit.server.programs import free_ports
from tests.kit.waiting import wait_for

_WORDS = "others can reach"


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        ([], "no TLS and no tokens"),
        (["--tls"], "no tokens"),
        (["--tokens"], "no TLS"),
        (["--tls", "--tokens"], None),
        (["--insecure-public"], None),
        (["--host", "127.0.0.1"], None),
        (["--host", "localhost"], None),
    ],
)
def test_an_open_address_is_one_warning(
    start: Start, write_model: WriteModel, tmp_path: Path, flags: list[str], missing: str | None
) -> None:
    """On an address of all interfaces, one line names what is missing; loopback and --insecure-public have none."""
    write_model("affine")
    given: list[str] = [] if "--host" in flags else ["--host", "0.0.0.0"]
    for flag in flags:
        if flag == "--tls":
            pair = Authority(tmp_path / "certificates").issue("server")
            given += ["--tls-cert", str(pair.cert), "--tls-key", str(pair.key)]
        elif flag == "--tokens":
            given += ["--tokens", str(write_tokens(tmp_path / "tokens.toml", one=""))]
        else:
            given.append(flag)
    code, log = start(*given).stop()
    assert code == 0
    lines = [line for line in log.splitlines() if "WARNING" in line]
    assert len(lines) == (missing is not None), log
    assert all(_WORDS in line and f"the gRPC port has {missing}:" in line for line in lines)


@pytest.mark.parametrize("door", ["tls", "tokens"])
def test_closed_doors_tell_only_health(start: Start, write_model: WriteModel, tmp_path: Path, door: str) -> None:
    """With TLS or tokens the plain port of the probes tells health without reasons, and has nothing else."""
    write_model("affine")
    if door == "tls":
        pair = Authority(tmp_path / "certificates").issue("server")
        server = start("--tls-cert", str(pair.cert), "--tls-key", str(pair.key))
    else:
        server = start("--tokens", str(write_tokens(tmp_path / "tokens.toml", one="")))
    assert server.is_ready()
    told = {path: get(server.http, path) for path in ("/livez", "/readyz", "/metrics", "/")}
    assert [status for status, _ in told.values()] == [200, 200, 404, 404]
    assert not any("affine" in text for _, text in told.values())
    assert "affine" in server.get("/metrics")[1]
    assert server.metrics != server.http


def test_one_port_has_all_where_it_is_asked_for(start: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """With tokens too. A file that is read again changes nothing of that."""
    write_model("affine")
    tokens, file = write_tokens(tmp_path / "tokens.toml", one=""), tmp_path / "kan-serve.toml"
    file.write_text(f'[server]\ntokens = "{tokens}"\n')
    (port,) = free_ports(1)
    server = start("--config", str(file), "--http-port", str(port), "--metrics-port", str(port))
    assert server.metrics == server.http
    assert "affine" in get(server.http, "/metrics")[1]
    server.signal(signal.SIGHUP)
    wait_for(lambda: "no changes" in server.log.read_text(), "a reload that is taken")
