"""Long lists, made without holding up other calls."""

import asyncio

import pytest

from service.protocols.paced import paced
from tests.kit.waiting import run_test


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_all_items_come_in_order_and_others_have_turns(count: int) -> None:
    """Another task runs once after every 250 items."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def test() -> None:
        other = asyncio.create_task(take_turns())
        assert [item async for item in paced(range(count))] == list(range(count))
        other.cancel()
        assert turns == count // 250

    run_test(test())
