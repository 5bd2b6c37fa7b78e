"""Replicas that look at the repository at different times, while versions are published."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.kit.callers.protocols import KanApi
from tests.kit.server.kan_serve import Start

pytestmark = pytest.mark.faults

_ROWS = np.array([[0, 1, 2, 0.5], [1, 2, 0, 1.5]], np.float32)
_VERSIONS, _SECONDS_A_VERSION = 6, 1.5


@pytest.mark.timeout(240)
@pytest.mark.parametrize("replicas", [2, 3])
def test_a_version_that_one_replica_answered_with_is_answered_by_all(
    kan_serve: Start, publish_version: Callable[..., Path], graphs: Any, replicas: int
) -> None:
    """Callers take the latest from one replica and ask each of them for it by number: no call fails, none is wrong.

    Some replicas find two versions at once, and never served the older one by themselves.
    """
    publish_version("kan")
    # Looks of different length: they fall at other moments all the time.
    servers = [kan_serve("--poll-seconds", str(1.0 + 2.3 * place)) for place in range(replicas)]
    expected = graphs.answer("kan", _ROWS)
    failures: list[str] = []
    answered: set[int] = set()
    stop = asyncio.Event()

    async def call_on(first: int, methods: list[Any]) -> None:
        while not stop.is_set():
            version = 0
            for method in [methods[first], *methods]:
                try:
                    request = KanApi.request("kan", _ROWS, version=version)
                    _, got, values = KanApi.answer(await method(request, timeout=30))
                except grpc.aio.AioRpcError as error:
                    failures.append(f"version {version}: {error.code().name}: {error.details()}")
                    continue
                assert version in (0, got)
                version = got
                np.testing.assert_allclose(values, expected + version, atol=1e-4)
                answered.add(version)

    async def publish() -> None:
        for version in range(2, _VERSIONS + 1):
            await asyncio.to_thread(publish_version, "kan")
            with contextlib.suppress(TimeoutError):  # the rule of the test, not a wait for something
                await asyncio.wait_for(asyncio.Event().wait(), _SECONDS_A_VERSION)
            async with asyncio.timeout(60):
                while version not in answered:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.01)

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            channels = [await stack.enter_async_context(server.channel()) for server in servers]
            methods = [channel.unary_unary(KanApi.path) for channel in channels]
            async with asyncio.TaskGroup() as callers:
                for first in range(replicas):
                    callers.create_task(call_on(first, methods))
                await publish()
                stop.set()

    asyncio.run(run())
    assert failures == []
    assert answered == set(range(1, _VERSIONS + 1))
    for server in servers:
        code, log = server.stop()
        assert code == 0, log
        assert "Traceback" not in log, log
