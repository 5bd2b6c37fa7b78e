"""What a server is given: a front end and, among several workers, its ties to the others."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from service.access.certificates import Certificates
from service.access.reloaded import ReloadedFiles
from service.metrics.metrics import Metrics
from service.process.stop import CLOSED, LONGEST_READ_SECONDS, READ, Stop
from service.registry.agreement import Agreement
from service.rpc.calls import Method
from service.rpc.entrance import Entrance
from service.settings import Settings


class Front(Protocol):
    """A front end: takes calls from the network and gives them to the table of methods."""

    port: int

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, and wait for open ones. Calls that are still open after the grace time are cancelled."""


async def flush(front: Front, stop: Stop) -> None:
    """Take no more calls, and wait until callers have read their answers."""
    seconds = min(LONGEST_READ_SECONDS, stop.remaining(READ))
    reading = asyncio.create_task(front.stop(seconds), name="flush")
    if await stop.wait(reading, READ):
        reading.result()
        return
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    cut = asyncio.create_task(front.stop(0), name="cut")
    if not await stop.wait(cut, CLOSED):
        cut.cancel()


StartFront = Callable[
    [Mapping[str, Method], Metrics, Entrance, ReloadedFiles[Certificates] | None, Settings], Awaitable[Front]
]


class Membership(Protocol):
    """One worker's ties to the others."""

    @property
    def metrics(self) -> Metrics:
        """Get the counts."""

    @property
    def versions(self) -> Agreement:
        """What the other workers say of a version."""
