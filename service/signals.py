"""The signals that stop a server, as events."""

import asyncio
import signal


def signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Events that SIGTERM and SIGINT set: the first signal the first one, any later signal the second."""
    stop, at_once = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (at_once if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    return stop, at_once
