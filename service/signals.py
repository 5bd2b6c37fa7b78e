"""The signals that stop a server, as events."""

import asyncio
import signal


def signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Events that signals set: the first SIGTERM or SIGINT the first one, any later one the second.

    SIGHUP, which a terminal sends as it goes, often twice, sets the first event alone; not even that where it is
    ignored, as nohup has it.
    """
    stop, at_once = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (at_once if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, stop.set)
    return stop, at_once
