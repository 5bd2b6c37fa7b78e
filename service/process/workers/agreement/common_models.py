"""Loads and unloads that one worker was asked for: all workers do them."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from service.errors import Draining
from service.process.workers.agreement.locks import Locks
from service.process.workers.agreement.member import ANY_VERSION, Member
from service.process.workers.agreement.orders import Orders, Outcome
from service.process.workers.agreement.versions import Versions
from service.process.workers.messages import encode_error


class CommonModels:
    """What callers have unloaded. Used on one event loop.

    Args:
        orders: Reach the workers.
        versions: Have the workers, and switch back to an earlier version that a load finds.
    """

    def __init__(self, orders: Orders, versions: Versions) -> None:
        self._orders = orders
        self._versions = versions
        self._unloaded: set[str] = set()
        self._locks, self._unloads = Locks(), Locks()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def unloaded(self) -> Collection[str]:
        """The models that are unloaded, for a worker that starts."""
        return self._unloaded

    def ask(self, member: Member, number: int, order: str, name: str) -> None:
        """A worker was asked to load or unload a model: have all do it, and tell that worker what became of it."""
        task = asyncio.create_task(self._give(member, number, order, name), name=f"{order} {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _give(self, member: Member, number: int, order: str, name: str) -> None:
        try:
            outcomes = await (self._load(name) if order == "load" else self._unload(name))
            error = _first_error(outcomes)
            if order == "load" and not outcomes:
                error = encode_error(Draining("every worker that tried to load it has ended or is stopping"))
        except Exception as broken:  # the caller waits for an answer
            error = encode_error(broken)
        member.tell(answer=[number, error])

    async def _load(self, name: str) -> Sequence[Outcome]:
        async with self._locks.hold(name):
            self._unloaded.discard(name)  # first: a worker may start before the others have done it
            for member in self._versions.members:  # it tries again: a worker that is quicker waits for it
                member.forget_refusals(name)
            async with self._unloads.hold(name):
                pass  # what one worker still answers with, another one would load and answer with at once
            outcomes = await self._orders.give("load", name)
            if await self._versions.until_switched(name):  # a worker that goes back begins no load
                outcomes = await self._orders.give("load", name)
            if any(outcome.error is None and outcome.value[1] for outcome in outcomes):
                # It is unloaded in a worker that could not begin, and so in all, also those that have started since.
                await self._unload(name)
            for member in self._versions.members:  # refusals of this order
                member.refusals.pop((name, ANY_VERSION), None)
            return outcomes

    async def _unload(self, name: str) -> Sequence[Outcome]:
        # It waits for no load: it ends one, in each worker.
        self._unloaded.add(name)  # first, as in a load
        async with self._unloads.hold(name):
            return await self._orders.give("unload", name)


def _first_error(outcomes: Sequence[Outcome]) -> list[Any] | None:
    errors = [encode_error(outcome.error) for outcome in outcomes if outcome.error is not None]
    errors += [outcome.value[0] for outcome in outcomes if outcome.error is None and outcome.value[0] is not None]
    return errors[0] if errors else None
