"""Models whose time depends on the data, beside others."""

import asyncio
from typing import Any

import grpc.aio
import numpy as np

from tests.kit.callers.protocols import KanApi
from tests.kit.models.graphs import rounds_as_told
from tests.kit.models.repository import WriteModel, replace_graph
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.waiting import until_elsewhere


def _is_inline(server: KanServe) -> bool:
    return server.sample("kan_model_inline", model="told") == 1


async def _ask(channel: grpc.aio.Channel, rounds: float = 0.0, model: str = "told") -> None:
    method: Any = channel.unary_unary(KanApi.path)
    await method(KanApi.request(model, np.full((1, 4), rounds, np.float32), "1"), timeout=60)


async def _until_inline(server: KanServe, channel: grpc.aio.Channel) -> int:
    """Quick calls until the model runs on the event loop. Gives how many."""
    calls = 0
    while not await asyncio.to_thread(_is_inline, server):
        await asyncio.gather(*(_ask(channel) for _ in range(8)))
        calls += 8
        assert calls < 20_000
    return calls


def test_a_slow_run_moves_the_model_and_quick_runs_move_it_back(start: Start, write_model: WriteModel) -> None:
    """After one run that took long, the next ones hold nobody; after many quick ones the model is on the loop again."""
    replace_graph(write_model("affine", name="told"), rounds_as_told())
    write_model("affine")
    server = start()

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            first = await _until_inline(server, channel)  # 0, unless a busy machine makes the warm-up slow
            for _ in range(20):
                await _ask(channel)
            assert await asyncio.to_thread(_is_inline, server)
            await _ask(channel, 50_000)
            await until_elsewhere(lambda: not _is_inline(server))
            long = asyncio.create_task(_ask(channel, 4_000_000))
            await until_elsewhere(lambda: server.sample("kan_request_rows_count", model="told") == first + 22)
            for _ in range(5):
                await _ask(channel, model="affine")
            assert not long.done()
            await long
            quick = await _until_inline(server, channel)
            await _ask(channel)
            assert server.sample("kan_requests_total", model="told", code="OK") == first + quick + 23

    asyncio.run(check())
