"""The signals that stop a server."""

import asyncio
import os
import signal

import pytest

from service.signals import signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_and_the_second(number: signal.Signals) -> None:
    """The first sets one event, the second the other."""

    async def check() -> None:
        stop, at_once = signals()
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):
            await stop.wait()
            assert not at_once.is_set()
            os.kill(os.getpid(), number)
            await at_once.wait()

    asyncio.run(check())


def test_a_hangup_may_come_twice() -> None:
    """As it does from a shell whose terminal goes: the drain is not cut short."""

    async def check() -> None:
        stop, at_once = signals()
        async with asyncio.timeout(10):
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGHUP)
                await stop.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await at_once.wait()

    asyncio.run(check())


def test_a_hangup_that_is_ignored_stays_so() -> None:
    """Under nohup a server goes on when its terminal goes."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def check() -> None:
        stop, _ = signals()
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await stop.wait()

    try:
        asyncio.run(check())
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
