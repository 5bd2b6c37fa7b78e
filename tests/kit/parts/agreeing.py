"""Two registries of one process that agree by a real parent's side, as those of two worker processes do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from service.metrics.metrics import Metrics
from service.process.workers.agreement.agreements import Agreements
from service.process.workers.agreement.flags import Flags
from service.process.workers.agreement.worker_orders import WorkerOrders
from service.process.workers.agreement.worker_versions import WorkerVersions
from service.registry.registry import Registry
from service.settings import Settings


class Worker:
    """One worker: its registry, and its side of the agreement.

    Attributes:
        late: Orders to arm a version, while they are kept from the worker; None if it gets them at once.
        left: Why it would leave.
    """

    def __init__(self, agreements: Agreements, flags: Flags) -> None:
        loop = asyncio.get_running_loop()
        self.late: list[dict[str, Any]] | None = None
        self.left: list[str] = []

        def tell(**order: Any) -> None:
            loop.call_soon(self._take, order)

        self.member = agreements.add(tell)
        send = lambda **message: agreements.take(self.member, message)  # noqa: E731
        self.versions = WorkerVersions(send, flags)
        self.orders = WorkerOrders(send, flags, self.versions, self.left.append)
        self.registry = Registry(agreements.settings.in_force, Metrics(), self.versions)
        self.orders.begin(self.registry)

    async def start(self, agreements: Agreements) -> None:
        """Load everything, and take calls."""
        await self.registry.load_all()
        agreements.take(self.member, {"loaded all": True})
        assert self.member.takes_calls

    def arm_late(self) -> None:
        """Get the orders to arm a version that were kept from it."""
        late, self.late = self.late or [], None
        for order in late:
            self._take(order)

    def _take(self, order: dict[str, Any]) -> None:
        if order.keys() & {"arm", "arm back"} and self.late is not None:
            self.late.append(order)
        elif "do" in order:
            self.orders.take(*order["do"])
        else:
            self.versions.take(order)

    def batch_rows(self, version: int | None = None) -> int:
        """The most rows of a batch."""
        with self.registry.lease("affine", version) as model:
            return model.batcher.max_batch_rows

    def latest(self) -> int:
        """The version that answers."""
        with self.registry.lease("affine") as model:
            return model.version


@asynccontextmanager
async def two_workers(models: Path, **settings: Any) -> AsyncIterator[tuple[Agreements, Worker, Worker]]:
    """Two workers that take calls."""
    with closing(Flags()) as flags:
        agreements = Agreements(Settings(models=models, **settings), flags)
        workers = [Worker(agreements, flags) for _ in range(2)]
        try:
            for worker in workers:
                await worker.start(agreements)
            yield agreements, workers[0], workers[1]
        finally:
            for worker in workers:
                await worker.orders.close()
                await worker.registry.close()
