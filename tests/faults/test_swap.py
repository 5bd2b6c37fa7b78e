"""A new version every second for a minute, under load."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kit.callers.protocols import PROTOCOLS, KanApi
from tests.kit.server.kan_serve import Start

pytestmark = pytest.mark.faults

_VERSIONS, _SECONDS_A_VERSION = 60, 1.0
_CALLERS = 6  # of each protocol
# Callers never pause from before each publication until the new version has answered so many requests. Between two
# swaps, where nothing happens, they pause.
_ANSWERS_A_SWAP, _PAUSE_SECONDS = 24, 0.05
_ROWS = np.array([[0, 1, 2, 0.5], [1, 2, 0, 1.5]], np.float32)


@pytest.mark.timeout(900)
def test_a_swap_every_second_fails_no_request(
    kan_serve: Start, publish_version: Callable[..., Path], graphs: Any
) -> None:
    """Every request is answered, by a version that only grows, with that version's own numbers; every version serves.

    Unary calls in both protocols, and a stream that lasts the whole minute.
    """
    publish_version("kan")
    server = kan_serve("--poll-seconds", "0.05", "--linger-seconds", "0")
    expected = graphs.answer("kan", _ROWS)
    answered: Counter[int] = Counter()
    swapping, stop = asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        await asyncio.sleep(0 if swapping.is_set() else _PAUSE_SECONDS)  # the pace of a caller

    def check(version: int, values: Any, last: int) -> int:
        assert version >= last, f"version {version} answered after version {last}"
        np.testing.assert_allclose(
            values, expected + version, atol=1e-4, err_msg=f"answer that names version {version}"
        )
        answered[version] += 1
        return version

    async def call_on(protocol: Any) -> None:
        last = 0
        async with server.channel() as channel:
            method = channel.unary_unary(protocol.path)
            while not stop.is_set():
                _, version, values = protocol.answer(await method(protocol.request("kan", _ROWS), timeout=90))
                last = check(version, values, last)
                await pause()

    async def stream_on(protocol: Any) -> None:
        async with server.channel() as channel:
            stream = channel.stream_stream(protocol.stream_path)()
            while not stop.is_set():
                for number in range(16):
                    await stream.write(protocol.request("kan", _ROWS, str(number)))
                last: Counter[str] = Counter()
                for _ in range(16):
                    key, code, values, version = protocol.stream_answer(await stream.read())
                    assert code == "OK", f"{code} on the stream: {values}"
                    last[key] = check(version, values, last[key])
                await pause()

    async def publish() -> None:
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        for version in range(2, _VERSIONS + 1):
            next_at += _SECONDS_A_VERSION
            await asyncio.sleep(next_at - loop.time())  # the rule of the test, not a wait for something
            swapping.set()
            await asyncio.to_thread(publish_version, "kan")
            async with asyncio.timeout(90):
                while answered[version] < _ANSWERS_A_SWAP:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0)
            swapping.clear()

    async def run() -> None:
        async with asyncio.TaskGroup() as callers:
            for protocol in PROTOCOLS:
                for _ in range(_CALLERS):
                    callers.create_task(call_on(protocol))
            callers.create_task(stream_on(KanApi))
            await publish()
            stop.set()

    asyncio.run(run())
    swaps = server.sample("kan_model_swaps_total", model="kan")
    assert swaps == _VERSIONS - 1, f"{swaps:g} swaps for {_VERSIONS} versions"
    code, log = server.stop()
    assert code == 0, log
    assert sorted(answered) == list(range(1, _VERSIONS + 1)), f"requests by version: {dict(answered)}"
    closed = log.count(" closed: ")
    assert closed == _VERSIONS - 1, f"{closed} versions were closed, wanted {_VERSIONS - 1}; log: {log[-2000:]}"
    assert "Traceback" not in log, log
