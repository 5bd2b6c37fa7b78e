"""Models that are closed once their last lease has ended."""

import asyncio
import logging
from collections.abc import Collection

from service.metrics.metrics import Metrics
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

    def add(self, model: LiveModel, why: str) -> None:
        """Close a model after its last lease.

        Args:
            model: The model.
            why: For the log.
        """
        model.leave()
        task = asyncio.create_task(self._close(model, why), name=f"retire {model.name}/{model.version}")
        self._models[task] = model
        task.add_done_callback(lambda done: self._models.pop(done))

    async def discard(self, model: LiveModel, why: str) -> None:
        """Close a model that is not taken: at once, if no call has leased it by its number."""
        if model.leases:
            self.add(model, why)
        else:
            await model.close()

    async def wait(self) -> None:
        """Wait until all are closed."""
        await asyncio.gather(*self._models)

    async def _close(self, model: LiveModel, why: str) -> None:
        await model.retire()
        # With its owner, because the same version may have been loaded or refused again since.
        self._metrics.model_retired(model.name, model.version, owner=model)
        _log.info("model %s version %d closed: %s", model.name, model.version, why)
