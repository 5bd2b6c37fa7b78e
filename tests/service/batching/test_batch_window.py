"""The batch window alone, on a real event loop."""

import asyncio
import os
from collections.abc import Callable

import pytest

from service.batching.batch_window import BatchWindow


def _window(ended: Callable[[], None]) -> BatchWindow:
    return BatchWindow(quiet_turns=5, clock=lambda: 0.0, full=lambda: False, ended=ended)


@pytest.mark.parametrize(("arrive", "turns"), [((0, 0), 5), ((2, 1), 6)])
def test_each_window_waits_for_quiet_turns_of_its_own(arrive: tuple[int, int], turns: int) -> None:
    """A second window stays open as long as the first: 5 turns after the last turn in which a request arrived.

    Without a request it is for rows that the last batch left over.
    """

    async def test() -> list[int]:
        seen: list[int] = []
        ended = asyncio.Event()
        window = _window(ended.set)
        for count in arrive:
            for _ in range(count):
                window.arrived()
            ended.clear()
            window.open()
            seen.append(0)
            while not ended.is_set():
                await asyncio.sleep(0)
                seen[-1] += 1
            window.close()
        return seen

    assert asyncio.run(test()) == [turns, turns]


def test_a_window_that_was_closed_before_its_end_does_not_end() -> None:
    """The batch runs already. The end of the window would start a second run beside it."""

    async def test() -> list[str]:
        ended: list[str] = []
        window = _window(lambda: ended.append("ended"))
        window.open()
        window.close()
        for _ in range(10):
            await asyncio.sleep(0)
        return ended

    assert asyncio.run(test()) == []


@pytest.mark.parametrize("shares_core", [True, False])
def test_a_window_gives_the_core_away_once_a_turn_where_requests_come_by_a_thread_on_it(
    monkeypatch: pytest.MonkeyPatch, *, shares_core: bool
) -> None:
    """Otherwise it gives nothing away: the thread that receives requests has another core."""
    given: list[None] = []
    give = os.sched_yield
    monkeypatch.setattr(os, "sched_yield", lambda: given.append(give()))

    async def test() -> None:
        ended = asyncio.Event()
        window = BatchWindow(5, lambda: 0.0, lambda: False, ended.set, shares_core=shares_core)
        window.open()
        await ended.wait()

    asyncio.run(test())
    assert len(given) == (4 if shares_core else 0)
