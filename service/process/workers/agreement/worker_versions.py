"""A worker's side of the agreement on versions: what it tells the parent process, and what it waits for."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from service.errors import ModelRefused
from service.process.workers.agreement.flags import Flags
from service.process.workers.messages import decode_error
from service.registry.agreement import OTHER_WORKER, Arm, LoadAgain


@dataclass(frozen=True)
class _Load:
    """A loaded version: the number of its report, what waits for the answer, and what to call before that."""

    number: int
    told: "asyncio.Future[None]"
    arm: Arm


@dataclass(frozen=True)
class _Withdrawn:
    """A withdrawn version: the number of its report, and what to call."""

    number: int
    arm: Arm
    end: Callable[[bool], None]


class WorkerVersions:
    """An :class:`service.registry.agreement.Agreement` over messages. Used on one event loop.

    Each report that the parent answers has a number, and so have the answers: one that is on its way when a version is
    unloaded, and loaded again, is not for the new load.

    Args:
        send: Sends the parent a message.
        flags: Those of the parent.
        unloaded: The models that callers had unloaded before this worker started.

    Attributes:
        unloaded: As given.
        crash_loop: Whether a worker ends soon after its start, again and again.
        lefts: How many versions were reported as left. The parent decides anew on what it decided before the last.
    """

    def __init__(self, send: Callable[..., None], flags: Flags, unloaded: Collection[str] = ()) -> None:
        self.unloaded, self.crash_loop, self.lefts = unloaded, False, 0
        self._send = send
        self._flags = flags
        self._waiting: dict[tuple[str, int], _Load] = {}
        self._withdrawn: dict[str, _Withdrawn] = {}  # by model
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._new_try: Callable[[str, int], None] = lambda _name, _version: None

    def loading(self, name: str, version: int) -> None:
        """Report that a load begins."""
        self._send(loading=[name, version])

    def on_new_try(self, act: Callable[[str, int], None]) -> None:
        """Have a function called with a version that another worker refused, once that one has loaded it or ended."""
        self._new_try = act

    async def loaded(self, name: str, version: int, digest: str, arm: Arm) -> None:
        """Report a loaded version, and wait until every worker has it."""
        load = _Load(next(self._numbers), asyncio.get_running_loop().create_future(), arm)
        self._waiting[name, version] = load
        self._send(loaded=[name, version, digest, load.number])
        try:
            await load.told
        except asyncio.CancelledError:
            if self._waiting.get((name, version)) is load:  # it may have been left already, and loaded again
                self.left(name, version)
            raise
        finally:
            if self._waiting.get((name, version)) is load:
                del self._waiting[name, version]

    def refused(self, name: str, version: int, reason: str) -> None:
        """Report that this worker cannot load the version."""
        self._send(refused=[name, version, reason])

    def left(self, name: str, version: int) -> None:
        """Report that this worker does not answer with the version any more."""
        self._waiting.pop((name, version), None)
        self.lefts += 1
        self._send(left=[name, version])

    def withdrawn(self, name: str, version: int, successor: int, arm: Arm, end: Callable[[bool], None]) -> None:
        """Report that the latest version is withdrawn, and what this worker could go back to."""
        self._withdrawn[name] = _Withdrawn(next(self._numbers), arm, end)
        self._send(withdrawn=[name, version, successor, self._withdrawn[name].number])

    def stays(self, name: str, version: int) -> None:
        """Report that this worker does not want to go back from the version any more."""
        del self._withdrawn[name]
        self._send(withdrawn=[name, version, 0, 0])

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
        for (name, version), load in list(self._waiting.items()):
            if not load.told.done():
                load.told.set_exception(LoadAgain())
                self.left(name, version)

    def take(self, order: dict[str, Any]) -> None:
        """Carry out an order of the parent; see `messages`."""
        match order:
            case {"arm": [name, version, flag, number]}:
                if (load := self._waiting_load(name, version, number)) is not None:
                    load.arm(partial(self._flags.is_set, flag))
                    self._send(armed=[name, version, flag])
            case {"disarm": [name, version, number]}:
                if (load := self._waiting_load(name, version, number)) is not None:
                    load.arm(None)
            case {"serve": [name, version, number]}:
                if (load := self._waiting_load(name, version, number)) is not None:
                    load.told.set_result(None)
            case {"refuse": [name, version, reason, number]}:
                if (load := self._waiting_load(name, version, number)) is not None:
                    load.told.set_exception(ModelRefused(OTHER_WORKER, reason))
            case {"crash loop": bool(loop)}:
                self.crash_loop = loop
            case {"new try": [name, version]}:
                self._new_try(name, version)
            case {"arm back": [name, version, flag, number]}:
                if name in self._withdrawn and self._withdrawn[name].number == number:
                    self._withdrawn[name].arm(partial(self._flags.is_set, flag))
                    self._send(armed=[name, version, flag])
            case {"end back": [name, is_back, number]}:
                if name in self._withdrawn and self._withdrawn[name].number == number:
                    self._withdrawn.pop(name).end(is_back)
            case {"answer": [number, error]}:
                if number in self._asked and not self._asked[number].done():
                    if error is None:
                        self._asked[number].set_result(None)
                    else:
                        self._asked[number].set_exception(decode_error(error))

    def _waiting_load(self, name: str, version: int, number: int) -> _Load | None:
        """The load with this number, if it still waits."""
        load = self._waiting.get((name, version))
        return load if load is not None and load.number == number and not load.told.done() else None
