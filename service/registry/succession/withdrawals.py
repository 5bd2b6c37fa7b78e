"""Latest versions that are withdrawn, and answer until every worker can go back to the same earlier version."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from service.registry.agreement import Agreement
from service.registry.entries import Entries, Entry
from service.settings import Settings

_log = logging.getLogger(__name__)

# A rollback may be urgent, and another worker may be unable to follow: its earlier version is damaged, its disk hangs.
_LEAST_WAIT_SECONDS = 10.0


@dataclass(eq=False)
class _Withdrawal:
    """A version that is to be left, the one to go back to, and its entry, once all may do so at any moment."""

    version: int
    successor: int
    armed: Entry | None = None


class Withdrawals:
    """The withdrawals that wait for other workers, at most one a model. Used on one event loop.

    A worker waits ten seconds from its first report of a version, or for two polls. Then it goes back alone.

    Args:
        entries: The versions.
        agreement: Reaches the other workers; None if this process is the only one. Then nothing waits.
        leave: Is called with a model and the version that answers in place of newer ones now.
        settle: Is called with a model after that, or if the workers do not go back.
        settings: How often workers look at the repository.
    """

    def __init__(
        self,
        entries: Entries,
        agreement: Agreement | None,
        leave: Callable[[str, int], None],
        settle: Callable[[str], None],
        settings: Settings,
    ) -> None:
        self._entries = entries
        self._agreement = agreement
        self._leave = leave
        self._settle = settle
        self._wait_seconds = max(_LEAST_WAIT_SECONDS, 2 * settings.poll_seconds)
        self._by_model: dict[str, _Withdrawal] = {}
        self._due: dict[str, tuple[int, float]] = {}  # by model, a withdrawn version and when it is left at the latest

    def is_armed(self, name: str) -> bool:
        """Whether all workers may go back at any moment. Until it is over, no version of the model may be retired."""
        return name in self._by_model and self._by_model[name].armed is not None

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
            self._due.pop(name, None)
            return None
        known = self._by_model.get(name)
        if known is None or (known.version, known.successor) != (latest.version, kept.version):
            self._by_model[name] = new = _Withdrawal(latest.version, kept.version)
            self._begin_to_wait(name, new)
            told = partial(self._arm, name, new), partial(self._end, name, new)
            self._agreement.withdrawn(name, latest.version, kept.version, *told)
        return latest

    def forget(self, entry: Entry) -> None:
        """A version is retired: workers cannot go back from it, or to it."""
        known = self._by_model.get(entry.name)
        if known is not None and entry.version in (known.version, known.successor):
            self._stay(entry.name)

    def _begin_to_wait(self, name: str, withdrawal: _Withdrawal) -> None:
        loop = asyncio.get_running_loop()
        if self._due.get(name, (0, 0.0))[0] != withdrawal.version:
            self._due[name] = (withdrawal.version, loop.time() + self._wait_seconds)
            text = "model %s: version %d is withdrawn and answers until all workers go back"
            _log.info(text, name, withdrawal.version)
        loop.call_at(self._due[name][1], self._go_alone, name, withdrawal)

    def _go_alone(self, name: str, withdrawal: _Withdrawal) -> None:
        """Wait no longer, if it is still waited for."""
        if self._by_model.get(name) is not withdrawal or self._entries.draining:
            return
        text = "model %s: after %g s not all workers can go back from version %d; this worker goes back alone"
        _log.warning(text, name, self._wait_seconds, withdrawal.version)
        self._stay(name)
        self._finish(name, withdrawal, goes_back=True)

    def _stay(self, name: str) -> None:
        if name in self._by_model:
            assert self._agreement is not None
            self._agreement.stays(name, self._by_model.pop(name).version)

    def _arm(self, name: str, withdrawal: _Withdrawal, is_switched: Callable[[], bool] | None) -> None:
        successor = self._entries.of(name).get(withdrawal.successor)
        if successor is not None:
            withdrawal.armed = successor
            self._entries.arm(successor, is_switched)

    def _end(self, name: str, withdrawal: _Withdrawal, goes_back: bool) -> None:
        del self._by_model[name]
        self._finish(name, withdrawal, goes_back=goes_back)

    def _finish(self, name: str, withdrawal: _Withdrawal, *, goes_back: bool) -> None:
        if goes_back:
            self._leave(name, withdrawal.successor)
        if withdrawal.armed is not None:
            self._entries.arm(withdrawal.armed, None)
        if not self._entries.draining:
            self._settle(name)
