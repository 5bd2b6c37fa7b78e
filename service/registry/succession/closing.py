"""Models that are closed once their last lease has ended."""

import asyncio
import logging
from collections.abc import Collection

from service.metrics.metrics import Metrics
from service.registry.entries import Entry
from service.registry.model.live_model import LiveModel

_log = logging.getLogger(__name__)


class Closing:
    """The models that give no more leases. Used on one event loop.

    Args:
        metrics: Forgets each version that is closed.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._models: dict[asyncio.Task[None], LiveModel] = {}

    @property
    def models(self) -> Collection[LiveModel]:
        """The models that are not closed yet."""
        return self._models.values()

    def add(self, entry: Entry, model: LiveModel, why: str) -> None:
        """Close a model after its last lease.

        Args:
            entry: Counts its leases.
            model: The model.
            why: For the log.
        """
        model.leave()
        task = asyncio.create_task(self._close(entry, model, why), name=f"retire {entry.name}/{entry.version}")
        self._models[task] = model
        task.add_done_callback(lambda done: self._models.pop(done))

    async def wait(self) -> None:
        """Wait until all are closed."""
        await asyncio.gather(*self._models)

    async def _close(self, entry: Entry, model: LiveModel, why: str) -> None:
        while entry.users:
            entry.unused = asyncio.Event()
            await entry.unused.wait()
        await model.drain()
        await model.close()
        # With its owner, because the same version may have been loaded or refused again since.
        self._metrics.model_retired(entry.name, entry.version, owner=model)
        _log.info("model %s version %d closed: %s", entry.name, entry.version, why)
