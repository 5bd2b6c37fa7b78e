"""Thousands of calls that are cancelled at once: a caller who gives up keeps its connection."""

import asyncio
from collections.abc import Iterator

import grpc
import grpc.aio
import psutil
import pytest

from tests.kit.callers import http2
from tests.kit.callers.calls import predict
from tests.kit.callers.cancelling import SERVING, cancel_calls, check_health
from tests.kit.callers.protocols import KanApi
from tests.kit.models.repository import write_version
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import KanServe, serving
from tests.kit.waiting import until_elsewhere

_CALLS = 5000


@pytest.fixture(scope="module")
def server(frontend: str, module_gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of affine and slow."""
    folder = tmp_path_factory.mktemp("shared")
    for kind in ("affine", "slow"):
        write_version(folder / "models", kind)
    with serving(folder / "models", "--frontend", frontend, log=folder / "log") as started:
        yield started


@pytest.mark.parametrize("together", [1, 1000])
def test_a_connection_outlives_calls_that_are_reset(together: int, server: KanServe) -> None:
    """5,000 calls are begun and reset, one by one or a thousand at a time; then the connection still answers."""
    with http2.connect(server.grpc) as connection:
        assert check_health(connection, cancel_calls(connection, KanApi.path, _CALLS, together)) == SERVING


def _peers(server: KanServe) -> set[object]:
    """Addresses of those who are connected to the gRPC port."""
    port = int(server.grpc.rpartition(":")[2])
    found = [each for process in server.processes() for each in process.net_connections("tcp")]
    return {each.raddr for each in found if each.laddr.port == port and each.status == psutil.CONN_ESTABLISHED}


async def _is_answered(channel: grpc.aio.Channel) -> bool:
    """Whether a call is answered. It is refused while the server still counts cancelled calls as open."""
    try:
        await predict(channel, "affine")
    except grpc.aio.AioRpcError as error:
        if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return False
    return True


def test_a_channel_outlives_calls_that_are_cancelled(module_gate: Gate, server: KanServe) -> None:
    """GRPC's client cancels 5,000 calls that wait for a model. It needs no new connection for the next ones."""

    async def check() -> None:
        async with server.channel() as channel:
            await predict(channel, "affine")
            before = await asyncio.to_thread(_peers, server)
            with module_gate.closed():
                calls = [asyncio.ensure_future(predict(channel, "slow")) for _ in range(_CALLS)]
                await until_elsewhere(lambda: server.sample("kan_request_rows_count", model="slow") > 500)
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
            async with asyncio.timeout(60):
                while not await _is_answered(channel):
                    pass
            assert len(before) == 1
            assert await asyncio.to_thread(_peers, server) == before

    asyncio.run(check())
