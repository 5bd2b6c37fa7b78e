"""Requests for a reload: none is lost, and several are one."""

import asyncio
import threading

from service.process.reload_request import ReloadRequest
from tests.kit.waiting import run_test


def test_requests_before_the_wait_are_one() -> None:
    """Asked twice before anybody waits: one wait returns at once, the next one does not."""
    request = ReloadRequest()
    request.ask()
    request.ask()

    async def check() -> None:
        assert await request.wait(60)
        assert not await request.wait(0.01)

    run_test(check())


def test_another_thread_wakes_the_wait() -> None:
    """A request during a wait ends it."""
    request = ReloadRequest()

    async def check() -> None:
        waiting = asyncio.create_task(request.wait())
        await asyncio.sleep(0)
        thread = threading.Thread(target=request.ask)
        thread.start()
        assert await waiting
        thread.join()
        assert not await request.wait(0.01)

    run_test(check())


def test_a_request_after_the_loop_is_closed() -> None:
    """The main thread may ask while the server has already gone."""
    request = ReloadRequest()
    run_test(_wait_shortly(request))
    request.ask()


async def _wait_shortly(request: ReloadRequest) -> None:
    assert not await request.wait(0.001)
