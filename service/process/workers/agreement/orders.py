"""Orders to all workers: each does the same, and the parent learns what became of it."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from service.errors import Draining
from service.process.workers.agreement.member import Member
from service.process.workers.messages import decode_error


@dataclass(frozen=True)
class Outcome:
    """What one worker made of an order: a value, or an error."""

    value: Any
    error: Exception | None


@dataclass(eq=False)
class _Round:
    """One order, and the workers whose outcome is awaited."""

    waiting: set[Member]
    over: "asyncio.Future[None]"
    outcomes: list[Outcome] = field(default_factory=list)

    def end_for(self, member: Member) -> None:
        self.waiting.discard(member)
        if not self.waiting and not self.over.done():
            self.over.set_result(None)


class Orders:
    """The orders to all workers. Used on one event loop.

    Args:
        members: The workers. Their owner changes them.
    """

    def __init__(self, members: Collection[Member]) -> None:
        self._members = members
        self._numbers = count(1)
        self._rounds: dict[int, _Round] = {}

    async def give(self, order: str, *given: Any) -> Sequence[Outcome]:
        """Give an order to every worker, also to one that starts.

        Returns:
            What became of it in each worker that takes calls, after all of them said so. Workers that ended, or that
            are stopping and do it no more, are absent.
        """
        number = next(self._numbers)
        waiting = {member for member in self._members if member.takes_calls}
        a_round = self._rounds[number] = _Round(waiting, asyncio.get_running_loop().create_future())
        for member in self._members:
            member.tell(do=[number, order, *given])
        try:
            if waiting:
                await a_round.over
        finally:
            del self._rounds[number]
        return a_round.outcomes

    def take(self, member: Member, number: int, error: list[Any] | None, value: Any) -> None:
        """What became of an order in one worker."""
        a_round = self._rounds.get(number)
        if a_round is not None and member in a_round.waiting:
            outcome = Outcome(value, None if error is None else decode_error(error))
            if not isinstance(outcome.error, Draining):
                a_round.outcomes.append(outcome)
            a_round.end_for(member)

    def remove(self, member: Member) -> None:
        """A worker has ended: it is waited for no longer."""
        for each in list(self._rounds.values()):
            each.end_for(member)
