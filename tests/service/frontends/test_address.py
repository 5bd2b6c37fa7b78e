"""Ports that the system keeps from ordinary users."""

import asyncio
import codecs
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.errors import StartupError
from service.frontends.address import check_free
from service.process.http_ports import HttpPorts
from service.process.workers.port import SharedPort
from service.settings import Settings

_FIRST_FREE = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_NOBODY = 65534
# The lowest port; hardly a machine has a server there.
_PORT = 1


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """A user without rights; the suite's own, if that has none."""
    if not _FIRST_FREE.exists() or int(_FIRST_FREE.read_text()) <= _PORT:
        pytest.skip("this system keeps no port from ordinary users")
    # Names of hosts are encoded with it. It is loaded on first use, from files that another user may not read.
    codecs.lookup("idna")
    before = os.geteuid()
    if before == 0:
        os.seteuid(_NOBODY)
    yield
    os.seteuid(before)


@pytest.mark.usefixtures("ordinary_user")
@pytest.mark.parametrize("listen", [check_free, SharedPort.hold], ids=["one process", "workers"])
def test_a_forbidden_grpc_port_is_told_with_its_flag(listen: Callable[[str, int], object]) -> None:
    """Another free port below 1024 would not help, so the message says from where on ports are open to this user."""
    told = r"on 127\.0\.0\.1:1: Permission denied; .* from 1024 on with --grpc-port, or .* CAP_NET_BIND_SERVICE$"
    with pytest.raises(StartupError, match=told):
        listen("127.0.0.1", _PORT)


@pytest.mark.usefixtures("ordinary_user")
@pytest.mark.parametrize(
    ("flag", "ports"),
    [("--http-port", {"http_port": _PORT}), ("--metrics-port", {"http_port": 0, "metrics_port": _PORT})],
)
def test_a_forbidden_http_port_is_told_with_its_flag(flag: str, ports: dict[str, int]) -> None:
    """The flag is that of the port which is forbidden: health or metrics."""

    async def check() -> None:
        told = rf"on 127\.0\.0\.1:1: Permission denied; .* from 1024 on with {flag}.*, or .* CAP_NET_BIND_SERVICE$"
        with pytest.raises(StartupError, match=told):
            HttpPorts(Settings.model_validate({"grpc_port": 0, **ports}), CollectorRegistry(), lambda: "")

    asyncio.run(check())
