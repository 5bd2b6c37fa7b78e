"""Latest versions that are withdrawn, and answer until every worker can go back to the same earlier version."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from service.registry.agreement import Agreement
from service.registry.entries import Entries, Entry

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Withdrawal:
    """A version that is to be left, the one to go back to, and whether all may do so at any moment."""

    entry: Entry
    successor: Entry
    armed: bool = False


class Withdrawals:
    """The withdrawals that wait for other workers, at most one a model. Used on one event loop.

    Args:
        entries: The versions.
        agreement: Reaches the other workers; None if this process is the only one. Then nothing waits.
        leave: Is called with a version and its successor when all workers go back.
        settle: Is called with a model after that, or if they do not.
    """

    def __init__(
        self,
        entries: Entries,
        agreement: Agreement | None,
        leave: Callable[[Entry, Entry], None],
        settle: Callable[[str], None],
    ) -> None:
        self._entries = entries
        self._agreement = agreement
        self._leave = leave
        self._settle = settle
        self._by_model: dict[str, _Withdrawal] = {}

    def is_armed(self, name: str) -> bool:
        """Whether all workers may go back at any moment. Until it is over, no version of the model may be retired."""
        return name in self._by_model and self._by_model[name].armed

    def report(self, name: str, kept: Entry) -> Entry | None:
        """Tell the other workers whether the latest version is withdrawn.

        Args:
            name: The model.
            kept: The newest of its versions that is to be served.

        Returns:
            The withdrawn version, which has to answer until all workers go back; None if there is none.
        """
        latest = self._entries.latest(name)
        if self._agreement is None or latest is not self._entries.answering(name):
            return None
        if latest is None or latest.version <= kept.version:
            self._stay(name)
            return None
        known = self._by_model.get(name)
        if known is None or (known.entry, known.successor) != (latest, kept):
            self._by_model[name] = new = _Withdrawal(latest, kept)
            _log.info("model %s: version %d is withdrawn and answers until all workers go back", name, latest.version)
            told = partial(self._arm, new), partial(self._end, new)
            self._agreement.withdrawn(name, latest.version, kept.version, *told)
        return latest

    def forget(self, entry: Entry) -> None:
        """A version is retired: workers cannot go back from it, or to it."""
        known = self._by_model.get(entry.name)
        if known is not None and entry in (known.entry, known.successor):
            self._stay(entry.name)

    def _stay(self, name: str) -> None:
        if name in self._by_model:
            assert self._agreement is not None
            self._agreement.stays(name, self._by_model.pop(name).entry.version)

    def _arm(self, withdrawal: _Withdrawal, is_switched: Callable[[], bool]) -> None:
        withdrawal.armed = True
        self._entries.arm(withdrawal.successor, is_switched)

    def _end(self, withdrawal: _Withdrawal, is_agreed: bool) -> None:
        name = withdrawal.entry.name
        del self._by_model[name]
        if is_agreed:
            self._leave(withdrawal.entry, withdrawal.successor)
        else:
            self._entries.disarm(name)
        if not self._entries.draining:
            self._settle(name)
