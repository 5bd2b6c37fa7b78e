"""The forms of --host, for both ports: an address, a name, every address."""

import asyncio
import socket
from pathlib import Path

import grpc.aio
import pytest

from tests.kit.callers.calls import predict
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Start, get, run_kan_serve


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _is_here(address: str) -> bool:
    """Whether this machine has an address; IPv6 may be off."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("0.0.0.0", ["127.0.0.1"]),
        ("::1", ["::1"]),
        ("::", ["127.0.0.1", "::1"]),
        ("localhost", ["127.0.0.1", "::1"]),
    ],
)
def test_it_is_reached_by(start: Start, write_model: WriteModel, host: str, addresses: list[str]) -> None:
    """Every address that the host stands for takes calls, metrics and probes, on one port each."""
    write_model("affine")
    here = [address for address in addresses if _is_here(address)]
    if not here:
        pytest.skip(f"this machine has no address {host}")
    server = start("--host", host)
    assert server.grpc.rpartition(":")[0] == _shown(host)
    ports = [each.rpartition(":")[2] for each in (server.grpc, server.http)]

    async def check(address: str) -> None:
        async with grpc.aio.insecure_channel(f"{_shown(address)}:{ports[0]}") as channel:
            assert (await predict(channel, "affine")).model == "affine"

    for address in here:
        asyncio.run(check(address))
        assert get(f"{_shown(address)}:{ports[1]}", "/readyz")[0] == 200


@pytest.mark.slow
@pytest.mark.parametrize("host", ["nowhere.invalid", "x" * 64 + ".invalid", "192.0.2.1"])
@pytest.mark.parametrize("port", ["0", "65001"])
def test_a_host_that_is_not_here(models: Path, frontend: str, host: str, port: str) -> None:
    """It gives one line with the host, and exit code 1, also if any free port would do."""
    done = run_kan_serve(models, "--frontend", frontend, "--host", host, "--grpc-port", port, "--insecure-public")
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("kan-serve: cannot listen for ")
    assert host in line


def test_an_address_of_localhost_that_is_taken(models: Path, frontend: str) -> None:
    """Whichever it is: no server shares a port in silence."""
    for address in filter(_is_here, ("127.0.0.1", "::1")):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.create_server((address, 0), family=family) as taken:
            port = str(taken.getsockname()[1])
            done = run_kan_serve(models, "--frontend", frontend, "--host", "localhost", "--grpc-port", port)
        assert done.returncode == 1, done.stderr
        assert f"localhost:{port}: Address already in use" in done.stderr
