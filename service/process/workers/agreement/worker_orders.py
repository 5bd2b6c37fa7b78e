"""A worker's side of the orders: it carries them out on its registry, and tells the parent what became of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from service.errors import Draining, ModelNotFound, StartupError
from service.process.workers.agreement.flags import Flags
from service.process.workers.agreement.member import ANY_VERSION
from service.process.workers.agreement.worker_versions import WorkerVersions
from service.process.workers.messages import encode_error, read_settings
from service.registry.registry import Registry
from service.registry.succession.adoption import Prepared

_log = logging.getLogger(__name__)


class WorkerOrders:
    """Carries out orders. Used on one event loop.

    Args:
        send: Sends the parent a message.
        flags: Those of the parent.
        versions: This worker's side of the agreement on versions.
        leave: Ends this worker, because it cannot take the settings in force; gets the reason.
    """

    def __init__(
        self, send: Callable[..., None], flags: Flags, versions: WorkerVersions, leave: Callable[[str], None]
    ) -> None:
        self._send = send
        self._flags = flags
        self._versions = versions
        self._leave = leave
        self._registry: asyncio.Future[Registry] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()
        self._prepared: tuple[int, Prepared] | None = None
        self._known: Mapping[str, Callable[..., Awaitable[Any]]] = {
            "prepare": self._prepare,
            "arm": self._arm,
            "drop": self._drop,
            "adopt": self._adopt,
            "load": self._load,
            "unload": self._unload,
        }

    def begin(self, registry: Registry) -> None:
        """Carry out the orders that came, and those that will."""
        self._registry.set_result(registry)

    def take(self, number: int, order: str, *given: Any) -> None:
        """An order of the parent; see `messages`. Orders of one kind are carried out as they came."""
        task = asyncio.create_task(self._obey(number, partial(self._known[order], *given)), name=f"order {order}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Carry out no more orders."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _obey(self, number: int, act: Callable[[], Awaitable[Any]]) -> None:
        await asyncio.shield(self._registry)
        error, value = None, None
        try:
            value = await act()
        except Exception as found:
            error = encode_error(found)
        self._send(did=[number, error, value])

    async def _prepare(self, number: int, text: str) -> Mapping[str, int]:
        """Make ready for settings. Gives the versions that would take over."""
        async with self._changing:
            return (await self._make_ready(number, text)).successors

    async def _arm(self, flag: int, successors: Mapping[str, int]) -> None:
        """From now on the versions that would take over here take over once a flag is set.

        They are all of these in a worker that takes calls. One that starts may have found others.
        """
        own = {} if self._prepared is None else self._prepared[1].successors
        common = dict(successors.items() & own.items())
        self._registry.result().adoption.arm(common, partial(self._flags.is_set, flag))

    async def _drop(self) -> None:
        """Forget settings that another worker cannot take."""
        async with self._changing:
            await self._end()

    async def _adopt(self, number: int, text: str, successors: Mapping[str, int]) -> None:
        """Put settings in force."""
        async with self._changing:
            try:
                if self._prepared is None:  # this worker has started since then, or could not prepare
                    await self._make_ready(number, text)
                assert self._prepared is not None
                assert self._prepared[0] == number
                self._registry.result().adoption.commit(self._prepared[1], successors)
                self._versions.load_again()
                self._send(settings=number)
            except Draining:
                raise  # it leaves already
            except Exception as error:
                self._leave(f"it cannot take the settings in force: {error}")
                raise
            finally:
                await self._end()

    async def _load(self, name: str) -> list[Any]:
        """Load a model. Gives an error, or None, and whether the model is unloaded."""
        requested = self._registry.result().requested
        error = None
        try:
            await requested.load_here(name)
        except Draining:
            raise  # the others do it without this worker
        except Exception as found:
            error = encode_error(found)
            if isinstance(found, (ModelNotFound, StartupError)):  # nothing begins here: others would wait in vain
                self._versions.refused(name, ANY_VERSION, str(found))
        return [error, requested.is_unloaded(name)]

    async def _unload(self, name: str) -> list[Any]:
        """Unload a model. Gives what `_load` gives."""
        await self._registry.result().requested.unload_here(name)
        return [None, True]

    async def _make_ready(self, number: int, text: str) -> Prepared:
        prepared = await self._registry.result().adoption.prepare(read_settings(text))
        self._prepared = (number, prepared)
        return prepared

    async def _end(self) -> None:
        if self._prepared is not None:
            _, prepared = self._prepared
            self._prepared = None
            await self._registry.result().adoption.end(prepared)
