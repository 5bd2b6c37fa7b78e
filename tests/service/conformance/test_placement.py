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


def test_a_slow_run_moves_the_model_and_quick_runs_move_it_back(start: Start, write_model: WriteModel) -> None:
    """After one run that took long, the next ones hold nobody; after many quick ones the model is on the loop again."""
    replace_graph(write_model("affine", name="told"), rounds_as_told())
    write_model("affine")
    server = start()
    assert _is_inline(server)

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            for _ in range(20):
                await _ask(channel)
            assert await asyncio.to_thread(_is_inline, server)
            await _ask(channel, 50_000)
            await until_elsewhere(lambda: not _is_inline(server))
            long = asyncio.create_task(_ask(channel, 4_000_000))
            await until_elsewhere(lambda: server.sample("kan_request_rows_count", model="told") == 22)
            for _ in range(5):
                await _ask(channel, model="affine")
            assert not long.done()
            await long
            quick = 0
            while not await asyncio.to_thread(_is_inline, server):
                await asyncio.gather(*(_ask(channel) for _ in range(8)))
                quick += 8
                assert quick < 20_000
            await _ask(channel)
            assert server.sample("kan_requests_total", model="told", code="OK") == quick + 23

    asyncio.run(check())
