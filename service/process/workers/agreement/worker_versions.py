"""A worker's side of the agreement on versions: what it tells the parent process, and what it waits for."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

from service.errors import ModelRefused
from service.process.workers.agreement.flags import Flags
from service.process.workers.messages import decode_error
from service.registry.agreement import OTHER_WORKER, Arm, LoadAgain


@dataclass(frozen=True)
class _Withdrawn:
    """What this worker could go back to from the latest version of a model, what to call for it, and the flag of it."""

    successor: int
    arm: Arm
    end: Callable[[bool], None]
    place: int | None = None


class WorkerVersions:
    """An :class:`service.registry.agreement.Agreement` over messages. Used on one event loop.

    Args:
        send: Sends the parent a message.
        flags: Those of the parent.
        unloaded: The models that callers had unloaded before this worker started.

    Attributes:
        unloaded: As given.
    """

    def __init__(self, send: Callable[..., None], flags: Flags, unloaded: Collection[str] = ()) -> None:
        self.unloaded = unloaded
        self._send = send
        self._flags = flags
        self._waiting: dict[tuple[str, int], tuple[asyncio.Future[None], Arm]] = {}
        self._withdrawn: dict[str, _Withdrawn] = {}  # by model
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[None]] = {}

    def loading(self, name: str, version: int) -> None:
        """Report that a load begins."""
        self._send(loading=[name, version])

    async def loaded(self, name: str, version: int, digest: str, arm: Arm) -> None:
        """Report a loaded version, and wait until every worker has it."""
        told = asyncio.get_running_loop().create_future()
        self._waiting[name, version] = (told, arm)
        self._send(loaded=[name, version, digest])
        try:
            await told
        except asyncio.CancelledError:
            self.left(name, version)
            raise
        finally:
            if self._waiting.get((name, version), (None,))[0] is told:  # it may have been loaded again meanwhile
                del self._waiting[name, version]

    def refused(self, name: str, version: int, reason: str) -> None:
        """Report that this worker cannot load the version."""
        self._send(refused=[name, version, reason])

    def left(self, name: str, version: int) -> None:
        """Report that this worker does not answer with the version any more."""
        self._send(left=[name, version])

    def withdrawn(self, name: str, version: int, successor: int, arm: Arm, end: Callable[[bool], None]) -> None:
        """Report that the latest version is withdrawn, and what this worker could go back to."""
        self._withdrawn[name] = _Withdrawn(successor, arm, end)
        self._send(withdrawn=[name, version, successor])

    def stays(self, name: str, version: int) -> None:
        """Report that this worker does not want to go back from the version any more."""
        del self._withdrawn[name]
        self._send(withdrawn=[name, version, 0])

    async def load(self, name: str) -> None:
        """Load a model in every worker, and wait for it."""
        await self._ask("load", name)

    async def unload(self, name: str) -> None:
        """Stop to serve a model in every worker."""
        await self._ask("unload", name)

    async def _ask(self, order: str, name: str) -> None:
        """Have the parent give an order to all."""
        number, told = next(self._numbers), asyncio.get_running_loop().create_future()
        self._asked[number] = told
        self._send(ask=[number, order, name])
        try:
            await told
        finally:
            del self._asked[number]

    def load_again(self) -> None:
        """Have the versions that wait loaded once more, because the settings have changed."""
        for (name, version), (told, _) in list(self._waiting.items()):
            if not told.done():
                told.set_exception(LoadAgain())
                self.left(name, version)

    def take(self, order: dict[str, Any]) -> None:
        """Carry out an order of the parent; see `messages`."""
        match order:
            case {"arm": [name, version, place]}:
                if (name, version) in self._waiting:
                    self._waiting[name, version][1](partial(self._flags.is_set, place))
                # One that waits no longer has changed its mind. The others do not wait for it.
                self._send(armed=[name, version, place])
            case {"arm back": [name, version, place]}:
                withdrawn = self._withdrawn.get(name)
                if withdrawn is not None and withdrawn.successor == version:
                    self._withdrawn[name] = replace(withdrawn, place=place)
                    withdrawn.arm(partial(self._flags.is_set, place))
                self._send(armed=[name, version, place])
            case {"end back": [name, place, are_back]}:
                if name in self._withdrawn and self._withdrawn[name].place == place:
                    self._withdrawn.pop(name).end(are_back)
            case {"serve": [name, version]}:
                if (name, version) in self._waiting:
                    _set_result(self._waiting[name, version][0])
            case {"answer": [number, error]}:
                if number in self._asked and not self._asked[number].done():
                    if error is None:
                        self._asked[number].set_result(None)
                    else:
                        self._asked[number].set_exception(decode_error(error))
            case {"refuse": [name, version, reason]}:
                if (name, version) in self._waiting:
                    told, _ = self._waiting[name, version]
                    if not told.done():
                        told.set_exception(ModelRefused(OTHER_WORKER, reason))


def _set_result(told: "asyncio.Future[None]") -> None:
    if not told.done():
        told.set_result(None)
