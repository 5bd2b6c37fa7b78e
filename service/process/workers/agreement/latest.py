"""The latest version of each model as callers see it, and how far workers that start are apart from it.

What differs is kept up at each change, so that a message about one model costs the same among 10 models and 10,000.
"""

import logging
from collections.abc import Collection, Set

from service.process.workers.agreement.member import Member

_log = logging.getLogger(__name__)


class Latest:
    """What each worker that takes calls serves at least. Used on one event loop.

    Args:
        members: The workers. Their owner changes them.
    """

    def __init__(self, members: Collection[Member]) -> None:
        self._members = members
        self._numbers: dict[str, int] = {}

    def of(self, name: str) -> int:
        """The latest version of a model; 0 for none."""
        return self._numbers.get(name, 0)

    def names(self) -> Set[str]:
        """The models that are served."""
        return self._numbers.keys()

    def set(self, name: str, number: int) -> None:
        """Another version is the latest one; 0: nobody serves the model any more."""
        if number:
            self._numbers[name] = number
        else:
            self._numbers.pop(name, None)
        for member in self._members:
            self.compare(member, name)

    def lower(self, name: str) -> bool:
        """Lower the latest version of a model to the highest that workers which take calls still serve; 0 for none.

        An operator has rolled it back, callers have unloaded the model, or workers have ended. No caller sees a version
        go back by this: no worker answers with a later one any more. During a switch, a version that nobody serves yet
        is the latest one, and this must not be called. Gives whether it was lowered.
        """
        served = max((each.highest(name) for each in self._members if each.takes_calls), default=0)
        if served >= self.of(name):
            return False
        self.set(name, served)
        return True

    def begin(self, member: Member) -> None:
        """A worker starts, and serves nothing."""
        member.apart = set(self._numbers)

    def compare(self, member: Member, name: str) -> None:
        """Another version of a model is the latest one, or the latest one that this worker serves."""
        if member.highest(name) == self.of(name):
            member.apart.discard(name)
        else:
            member.apart.add(name)

    def join(self, member: Member) -> None:
        """A worker begins to take calls: what it serves counts."""
        for name in list(member.apart):
            self.set(name, max(member.highest(name), self.of(name)))

    def is_abreast(self, member: Member) -> bool:
        """Whether a worker serves the latest version of each model and no newer one. If not, the log says so."""
        if member.apart:
            self._report(member)
        return not member.apart

    def _report(self, member: Member) -> None:
        """Log one model with which a worker is apart: again after a change of it, or once half of them are left."""
        name = member.logged[1] if member.logged is not None else ""
        member.apart_as_logged = max(member.apart_as_logged, len(member.apart))
        if name not in member.apart:
            if member.logged is not None and 2 * len(member.apart) > member.apart_as_logged:
                return
            name = min(member.apart)
        shown = (_shown(member.highest(name)), name, _shown(self.of(name)))
        if member.logged == shown:
            return
        member.logged, member.apart_as_logged = shown, len(member.apart)
        more = f" ({len(member.apart) - 1} more models differ)" if len(member.apart) > 1 else ""
        _log.warning("a worker starts and takes no calls yet: it serves %s of model %s, and others %s%s", *shown, more)


def _shown(version: int) -> str:
    return f"version {version}" if version else "no version"
