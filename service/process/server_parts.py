"""How a server takes no more calls, and what ties it to other workers."""

import asyncio
from typing import Protocol

from service.access.reloaded import LastValid
from service.frontends.front import Front
from service.metrics.metrics import Metrics
from service.process.stop import CLOSED, LONGEST_READ_SECONDS, READ, Stop
from service.quota.levels import Levels
from service.registry.agreement import Agreement


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


class Membership(Protocol):
    """One worker's ties to the others."""

    @property
    def metrics(self) -> Metrics:
        """Get the counts."""

    @property
    def versions(self) -> Agreement:
        """What the other workers say of a version."""

    @property
    def levels(self) -> Levels:
        """How full the buckets of quotas are."""

    def last_valid(self, kind: str) -> LastValid:
        """What the other workers know of the files of a kind."""
