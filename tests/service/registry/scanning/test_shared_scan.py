"""Calls for unknown versions share scans."""

import asyncio

from service.registry.scanning.shared_scan import SharedScan
from tests.kit.waiting import run_test


def test_looks_that_take_long_do_not_pile_up() -> None:
    """All calls that arrive during a scan share the next one, for any number of calls and any duration."""
    began: list[int] = []
    now = [0.0]

    async def test() -> None:
        looking, go_on = asyncio.Semaphore(0), asyncio.Semaphore(0)

        async def look() -> None:
            began.append(len(waiting))
            looking.release()
            await go_on.acquire()

        waiting: list[asyncio.Task[None]] = []
        scan = SharedScan(look, lambda: now[0])
        waiting.append(asyncio.create_task(scan.run()))
        await looking.acquire()
        for _ in range(5):
            now[0] += 2.0
            waiting.append(asyncio.create_task(scan.run()))
            await asyncio.sleep(0)
        go_on.release()
        await looking.acquire()
        go_on.release()
        await asyncio.gather(*waiting)
        await scan.close()

    run_test(test())
    assert began == [1, 6]


def test_callers_share_a_look_that_begins_after_they_came() -> None:
    """A hundred calls at once cost one scan.

    Calls during it get the next one, after a pause. An error reaches all of them.
    """
    began: list[float] = []
    now = [100.0]

    async def test() -> None:
        looking, go_on = asyncio.Event(), asyncio.Event()

        async def look() -> None:
            began.append(now[0])
            looking.set()
            await go_on.wait()
            if len(began) == 2:
                raise OSError("the folder is gone")

        scan = SharedScan(look, lambda: now[0])
        first = [asyncio.create_task(scan.run()) for _ in range(100)]
        await looking.wait()
        now[0] += 1.0
        second = [asyncio.create_task(scan.run()) for _ in range(100)]
        go_on.set()
        await asyncio.gather(*first)
        failed = await asyncio.gather(*second, return_exceptions=True)
        assert {str(error) for error in failed} == {"the folder is gone"}
        await scan.close()

    run_test(test())
    assert began == [100.0, 101.0]
