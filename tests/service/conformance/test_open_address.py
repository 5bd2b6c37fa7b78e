"""A server that others can reach says so once, unless it is told that this is meant."""

from pathlib import Path

import pytest

from tests.kit.callers.tokens import write_tokens
from tests.kit.models.repository import WriteModel
from tests.kit.server.certificates import Authority
from tests.kit.server.kan_serve import Start, get

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
