"""How long waiting requests are held back for a fuller batch."""

import asyncio

import numpy as np
import pytest

from service.batching.queue_delay import QueueDelay
from service.batching.request import Request
from service.batching.request_queue import RequestQueue
from service.metrics.metrics import Metrics
from tests.kit.clock import Clock

NOW = 100.0


class _Waiting:
    """A queue with a delay of 5 seconds, a full batch of 8 rows, and a clock at NOW. Made on a running loop."""

    def __init__(self) -> None:
        self.clock = Clock(NOW)
        self.queue = RequestQueue(100, Metrics().model("digits", "1"))
        self.ended: list[float] = []
        self.delay = QueueDelay(5, 8, self.queue, self.clock, lambda: self.ended.append(self.clock.now))

    def put(self, arrived: float, *, rows: int = 1, deadline: float | None = None, bulk: bool = False) -> Request:
        future = asyncio.get_running_loop().create_future()
        request = Request(np.zeros((rows, 2), np.float32), deadline, arrived, future, bulk)
        self.queue.put(request)
        return request


def test_a_delay_counts_from_the_oldest_request() -> None:
    """Of either priority: 5 seconds after it arrived nothing is held back."""

    async def test() -> None:
        waiting = _Waiting()
        waiting.put(NOW)
        waiting.put(NOW - 3, bulk=True)
        waiting.clock.now = NOW + 1.999
        assert waiting.delay.hold()
        waiting.clock.now = NOW + 2
        assert not waiting.delay.hold()
        waiting.delay.cancel()

    asyncio.run(test())


@pytest.mark.parametrize(("deadline", "held"), [(1, False), (5, False), (5.0005, False), (5.01, True)])
def test_a_deadline_within_the_delay_or_shortly_after_it_ends_it(deadline: float, held: bool) -> None:
    """The timer may end a millisecond late, and the request must run before its deadline."""

    async def test() -> None:
        waiting = _Waiting()
        waiting.put(NOW)
        waiting.put(NOW, deadline=NOW + deadline)
        assert waiting.delay.hold() is held
        waiting.delay.cancel()

    asyncio.run(test())


def test_a_full_batch_is_not_held_back() -> None:
    """There is nothing to wait for."""

    async def test() -> None:
        waiting = _Waiting()
        waiting.put(NOW, rows=7)
        assert waiting.delay.hold()
        waiting.put(NOW)
        assert not waiting.delay.hold()
        waiting.delay.cancel()

    asyncio.run(test())


def test_the_end_of_a_delay_is_told_once_unless_it_is_cancelled() -> None:
    """However often requests are held back, there is one timer."""

    async def test(*, cancel: bool) -> list[float]:
        waiting = _Waiting()
        waiting.put(NOW)
        waiting.clock.now = NOW + 4.999
        over = asyncio.Event()
        assert waiting.delay.hold()
        assert waiting.delay.hold()
        if cancel:
            waiting.delay.cancel()
        asyncio.get_running_loop().call_later(0.05, over.set)
        await over.wait()
        return waiting.ended

    assert asyncio.run(test(cancel=False)) == [NOW + 4.999]
    assert asyncio.run(test(cancel=True)) == []
