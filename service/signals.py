"""The signals that stop a server, as events."""

import asyncio
import signal


def signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Events that SIGTERM, SIGINT and SIGHUP set: the first signal the first one, any later signal the second.

    SIGHUP, which a terminal sends as it goes, only where it is not ignored: nohup has it ignored.
    """
    stop, at_once = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (at_once if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, signalled)
    return stop, at_once
