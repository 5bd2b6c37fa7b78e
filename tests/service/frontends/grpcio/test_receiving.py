"""Turns to receive a message, in a bounded number."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from service.errors import Overloaded
from service.frontends.grpcio.receiving import Receiving, longest_seconds
from service.rpc.admission import Admission, Held
from service.rpc.bounds import Bounds

_ADMISSION = Bounds(calls=1000, streams=1, held_bytes=1000)


def _task(
    receiving: Receiving, admission: Admission, connection: str, read: Callable[[], Awaitable[str]]
) -> tuple[asyncio.Task[str], list[Held]]:
    """A call that receives its message, and the calls that are evicted."""
    evicted: list[Held] = []

    async def call() -> str:
        task = asyncio.current_task()
        assert task is not None
        held = admission.admit(stream=False, cancel=task.cancel)
        try:
            return await receiving.receive(held, lambda: connection, read)
        except asyncio.CancelledError:
            evicted.append(held)
            raise
        finally:
            held.close()

    return asyncio.create_task(call()), evicted


async def _never() -> str:
    await asyncio.Event().wait()
    return "never"


async def _at_once() -> str:
    return "message"


def test_stuck_calls_give_way_to_others() -> None:
    """Three calls that never end their messages hold all turns, a hundred more wait: another connection is received."""

    async def check() -> None:
        receiving, admission = Receiving(3), Admission(_ADMISSION)
        stuck = [_task(receiving, admission, "stuck", _never) for _ in range(103)]
        await asyncio.sleep(0)
        honest, _ = _task(receiving, admission, "honest", _at_once)
        assert await asyncio.wait_for(honest, 20) == "message"
        evicted = [held for _, those in stuck for held in those]
        assert evicted
        assert all(held.evicted for held in evicted)
        for task, _ in stuck:
            task.cancel()
        await asyncio.gather(*(task for task, _ in stuck), return_exceptions=True)
        # All turns are free again.
        again = [_task(receiving, admission, "a", _at_once)[0] for _ in range(10)]
        assert await asyncio.gather(*again) == ["message"] * 10

    asyncio.run(check())


def test_calls_that_wait_for_too_long_are_refused() -> None:
    """A thousand stuck calls do not wait for ever: calls without a turn are refused with a time for the next try."""

    async def check() -> None:
        receiving, admission = Receiving(1), Admission(_ADMISSION)
        tasks = [_task(receiving, admission, "stuck", _never)[0] for _ in range(100)]
        ended = asyncio.as_completed(tasks)
        for _ in range(90):
            with suppress(Overloaded, asyncio.CancelledError):
                await next(ended)
        refused = [task for task in tasks if task.done() and not task.cancelled()]
        for task in refused:
            with pytest.raises(Overloaded, match="at once") as caught:
                task.result()
            assert caught.value.retry_after_seconds > 0
        assert len(refused) > 80
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(check())


@pytest.mark.parametrize(("calls", "before", "after", "most_evicted"), [(1, 5, 5, 6), (4, 5, 5, 15), (4, 6, 12, 24)])
def test_a_new_connection_in_the_midst_of_stuck_ones(calls: int, before: int, after: int, most_evicted: int) -> None:
    """Connections send four calls each that never end, and an honest one comes after some of them and before others.

    Nothing is known of any of them. All calls of the honest one are received, and a single one within the first three
    turns. Three turns become free at once every six looks, so each must try another connection: with two of eleven at a
    time the honest one would be tried after 36. A call may wait for 30 looks, and for 60 on an unknown connection.
    """

    async def check() -> None:
        receiving, admission = Receiving(3, 0.5), Admission(_ADMISSION)
        stuck = [_task(receiving, admission, "first", _never) for _ in range(3)]
        stuck += [_task(receiving, admission, f"before {each // 4}", _never) for each in range(4 * before)]
        await asyncio.sleep(0)
        honest = [_task(receiving, admission, "honest", _at_once) for _ in range(calls)]
        await asyncio.sleep(0)
        stuck += [_task(receiving, admission, f"after {each // 4}", _never) for each in range(4 * after)]
        assert await asyncio.gather(*(task for task, _ in honest)) == ["message"] * calls
        assert sum(len(those) for _, those in stuck) <= most_evicted
        for task, _ in stuck:
            task.cancel()
        await asyncio.gather(*(task for task, _ in stuck), return_exceptions=True)

    asyncio.run(check())


@pytest.mark.parametrize("end", ["came", "reset"])
def test_a_connection_of_many_calls_does_not_take_all_turns(end: str) -> None:
    """A hundred calls of one connection wait, and one call of another: it is received within the next three turns.

    The connection is known, since one of its messages came. If its other calls are reset, it stays no better than that.
    """

    async def check() -> None:
        receiving, admission = Receiving(1, 20), Admission(_ADMISSION)
        read: asyncio.Queue[asyncio.Future[str]] = asyncio.Queue()

        async def message() -> str:
            came: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            read.put_nowait(came)
            return await came

        for name in ("many", "one"):
            await _task(receiving, admission, name, _at_once)[0]
        many = [_task(receiving, admission, "many", message)[0] for _ in range(50)]
        await asyncio.sleep(0)
        one, _ = _task(receiving, admission, "one", _at_once)
        await asyncio.sleep(0)
        many += [_task(receiving, admission, "many", message)[0] for _ in range(50)]
        for _ in range(4):
            came = await read.get()
            if end == "came":
                came.set_result("message")
            else:
                came.cancel()
        await read.get()
        assert one.done()
        for task in many:
            task.cancel()
        await asyncio.gather(*many, return_exceptions=True)

    asyncio.run(check())


def test_a_message_that_is_reset_says_nothing_good_of_its_connection() -> None:
    """The turn goes to a connection whose messages came, not to one whose first message was given up by its caller."""

    async def check() -> None:
        receiving, admission = Receiving(1, 20), Admission(_ADMISSION)
        await _task(receiving, admission, "good", _at_once)[0]
        reset, _ = _task(receiving, admission, "reset", _never)
        await asyncio.sleep(0)
        reset.cancel()
        await asyncio.gather(reset, return_exceptions=True)
        came: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def later() -> str:
            return await came

        received, _ = _task(receiving, admission, "other", later)
        await asyncio.sleep(0)
        order: list[str] = []

        def noted(name: str) -> Callable[[], Awaitable[str]]:
            async def read() -> str:
                order.append(name)
                return "message"

            return read

        names = ("reset", "good", "reset")
        waiting = [_task(receiving, admission, name, noted(name))[0] for name in names]
        await asyncio.sleep(0)
        came.set_result("came")
        await asyncio.gather(received, *waiting)
        assert order[0] == "good"

    asyncio.run(check())


def test_one_call_alone_is_never_evicted() -> None:
    """A slow call keeps its turn as long as no other call waits for one."""

    async def check() -> None:
        receiving, admission = Receiving(2), Admission(_ADMISSION)
        done = asyncio.Event()

        async def slow() -> str:
            await done.wait()
            return "slow"

        task, evicted = _task(receiving, admission, "slow", slow)
        for _ in range(100):
            await _task(receiving, admission, "other", _at_once)[0]
        done.set()
        assert await task == "slow"
        assert evicted == []

    asyncio.run(check())


@pytest.mark.parametrize("first", ["message", "cancellation"])
def test_a_call_that_is_cancelled_as_its_turn_comes(first: str) -> None:
    """It gives its turn back, for both orders within one turn of the event loop. All turns are free again."""

    async def check() -> None:
        receiving, admission = Receiving(1), Admission(_ADMISSION)
        came: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def later() -> str:
            return await came

        received, _ = _task(receiving, admission, "a", later)
        await asyncio.sleep(0)
        waiting = [_task(receiving, admission, "a", _at_once)[0] for _ in range(3)]
        await asyncio.sleep(0)
        came.set_result("came")
        if first == "message":
            await asyncio.sleep(0)  # its turn has been given, and it has not run yet
        waiting[-1].cancel()
        assert await received == "came"
        assert await asyncio.gather(*waiting[:-1]) == ["message"] * 2
        assert waiting[-1].cancelled()
        again = [_task(receiving, admission, "a", _at_once)[0] for _ in range(10)]
        assert await asyncio.wait_for(asyncio.gather(*again), 20) == ["message"] * 10

    asyncio.run(check())


def test_slow_messages_of_many_callers_all_come() -> None:
    """Eight callers in a loop, each with a slow message, share three turns: none is evicted or refused, all go on."""

    async def check() -> None:
        receiving, admission = Receiving(3, 2.0), Admission(_ADMISSION)
        received = dict.fromkeys("abcdefgh", 0)

        async def slow() -> str:
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.3)
            return "message"

        async def caller(name: str) -> None:
            while min(received.values()) < 2:
                assert await _task(receiving, admission, name, slow)[0] == "message"
                received[name] += 1

        await asyncio.wait_for(asyncio.gather(*map(caller, received)), 20)

    asyncio.run(check())


def test_the_time_follows_from_the_largest_message() -> None:
    """A caller that sends 8 MB a second has time for any message, and a short message has time too."""
    for message_bytes in (2**20, 16 * 2**20, 2**31 - 1):
        assert longest_seconds(message_bytes) > message_bytes / 8e6
    assert longest_seconds(1024) > 0.1
