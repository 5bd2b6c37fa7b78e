"""The swap of versions: a new version takes over, a superseded one lingers, an unwanted one is closed."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

from service.metrics.metrics import Metrics
from service.registry.agreement import Agreement
from service.registry.entries import Entries, Entry
from service.registry.loader import Loader
from service.registry.model.closing import Closing
from service.registry.model.live_model import LiveModel
from service.registry.succession.lingering import Lingering
from service.registry.succession.withdrawals import Withdrawals
from service.registry.version_status import COLD_REASON, State
from service.rpc.memory import container_limit_bytes, linger_room_bytes, most_bytes
from service.settings import Settings

_log = logging.getLogger(__name__)

_OTHER_SETTINGS, _ROOM = "it is loaded with other settings", "other models need its room"


class Succession:
    """Moves versions through their states: loading, ready, lingering, closed. Used on one event loop.

    Args:
        entries: The versions. This class changes them.
        loader: Loads the wanted versions.
        metrics: Counts swaps, and forgets versions that are gone.
        settings: How long superseded versions still answer by number, and the bounds on memory.
        settle_again: Calls `settle` for a model.
        closing: Closes the models that answer no more.
        agreement: Learns which versions do not answer any more; None if this process is the only worker.
    """

    def __init__(
        self,
        entries: Entries,
        loader: Loader,
        metrics: Metrics,
        settings: Settings,
        settle_again: Callable[[str], None],
        closing: Closing,
        agreement: Agreement | None = None,
    ) -> None:
        self._entries = entries
        self._loader = loader
        self._metrics = metrics
        self._settings = settings
        self._agreement, self._closing = agreement, closing
        self._limit_bytes = container_limit_bytes()
        if settings.linger_bytes and not linger_room_bytes(settings, self._limit_bytes, 0):
            _log.warning(
                "superseded versions do not linger: the container's limit of %d bytes leaves no room beside the %d "
                "that the settings let callers take; raise the limit or lower max_message_bytes",
                *(self._limit_bytes, most_bytes(settings)),
                extra={"once": True},
            )
        self._lingering = Lingering(settings.linger_seconds, self._linger_room_bytes, self._end_linger)
        self._withdrawals = Withdrawals(entries, agreement, self._go_back, settle_again, settings)
        self._gone: set[str] = set()  # models without files whose versions still answer

    def settle(self, name: str, wanted: Sequence[int], count: int) -> None:
        """Load the newest versions of a model that can be loaded, and retire its other versions once those answer.

        Example: wanted [3, 2, 1] and count 1. Version 3 is loaded, and version 2, which answers, is retired after
        that. If version 3 is refused, version 2 stays; if that one is not loaded, it is loaded instead.

        Args:
            name: The model.
            wanted: Versions that may be served, newest first.
            count: Most versions to serve.
        """
        if self._withdrawals.is_armed(name):
            return  # it is settled after the switch
        before = self._entries.latest(name)
        kept: list[Entry] = []
        awaited, beside_slow = 0, False
        for version in wanted:
            if len(kept) + awaited == count:
                break
            entry = self._entries.add(name, version)
            if entry.state is State.LINGERING and self._loader.is_outdated(entry):
                self.retire(entry, _OTHER_SETTINGS)  # it is loaded anew, and takes over when it answers
                entry = self._entries.add(name, version)
            if entry.state in (State.READY, State.LINGERING):
                self._lingering.discard(entry)
                entry.state, entry.reason = State.READY, ""
                kept.append(entry)
                continue
            # Whether it takes the place of a version in memory: then that one answers until it is loaded.
            takes_over = not kept and before is not None and before is not entry and before.model is not None
            stays_cold = not takes_over and self._stays_cold(entry)
            if beside_slow or (entry.held and not stays_cold):
                continue  # no older version is loaded because of a slow load; a loaded one keeps answering
            if stays_cold:
                self._keep_cold(entry)
                kept.append(entry)
            elif entry.state in (State.LOADING, State.COLD) or entry.due:
                if entry.state is not State.COLD:  # a cold one stays so during its load, since callers wait for it
                    entry.state, entry.reason, entry.due = State.LOADING, "", False
                self._loader.start(entry)
                beside_slow = entry.slow
                awaited += not entry.slow
        self._entries.choose_latest(name)
        if kept and not awaited:
            self._retire_others(name, kept)
        self._forget_unwanted(name, wanted, kept if len(kept) == count else [])
        self._report_swap(before, self._entries.latest(name))

    def retire(self, entry: Entry, why: str) -> None:
        """Give no more leases of a version, and close it when its last lease ends.

        Args:
            entry: The version.
            why: For the log.
        """
        self._lingering.discard(entry)
        self._withdrawals.forget(entry)
        self._entries.remove(entry)
        if self._agreement is not None:
            self._agreement.left(entry.name, entry.version)
        if entry.load is not None:
            entry.load.cancel()
            entry.load = None
        if entry.model is None:
            self._metrics.model_retired(entry.name, entry.version)
        else:
            self._closing.add(entry.model, why)

    def let_go(self, entry: Entry) -> None:
        """Close a version that has no lease: the next call loads it again. A superseded version is retired."""
        if entry.state is State.LINGERING or entry.model is None:
            self.retire(entry, _ROOM)
        else:
            cold = {"model": None, "manifest": None, "state": State.COLD, "reason": COLD_REASON}
            self._entries.replace(entry, **cold, quota=entry.model.quota)
            self._metrics.model_cold(entry.name, entry.version)
            self._closing.add(entry.model, f"{_ROOM}; the next call loads it again")

    def replace(self, entry: Entry, model: LiveModel) -> None:
        """Put another model of the same version in the place of one that answers. Close that after its last lease."""
        old = entry.model
        assert old is not None
        self._entries.replace(entry, model=model)
        model.used_at = old.used_at
        model.report()
        self._metrics.model_ready(entry.name, entry.version, ready=True, owner=model)
        self._closing.add(old, _OTHER_SETTINGS)

    def forget_removed(self, there: Collection[str]) -> None:
        """Forget unloaded versions of models whose files are gone, and warn once of models that still answer."""
        gone = set(self._entries.names()).difference(there)
        for name in gone:
            for entry in [each for each in self._entries.of(name).values() if each.model is None]:
                self.retire(entry, "its files are gone")
        gone.intersection_update(self._entries.names())
        for name in sorted(gone - self._gone):
            _log.warning("model %s: its files are gone; its loaded versions answer until the server is restarted", name)
        self._gone = gone

    def stop_time(self, entry: Entry) -> None:
        """Let a superseded version answer until `start_time`."""
        self._lingering.discard(entry)

    def start_time(self, entry: Entry) -> None:
        """Let the linger time of a superseded version begin anew."""
        self._lingering.add(entry)

    def models(self) -> list[LiveModel]:
        """Every model that was loaded and is not closed yet."""
        served = [entry.model for entry in self._entries if entry.model]
        return [*served, *self._closing.models]

    async def close(self) -> None:
        """Close every model. Rows that still wait fail with Draining."""
        self._lingering.clear()
        await asyncio.gather(*(model.close() for model in self.models()))
        await self._closing.wait()

    def _linger_room_bytes(self) -> int:
        served = [entry.model.file_bytes for entry in self._entries if entry.model and entry.state is State.READY]
        return linger_room_bytes(self._settings, self._limit_bytes, sum(served))

    def _retire_others(self, name: str, kept: Sequence[Entry]) -> None:
        """Retire versions that answer and are no longer wanted: superseded ones after their linger time.

        A newer one does not linger: settings that want it again would let it take over without the other workers.
        """
        oldest = min(entry.version for entry in kept)
        withdrawn = self._withdrawals.report(name, kept[0])
        for entry in list(self._entries.of(name).values()):
            if entry.state is State.LINGERING and entry.version > kept[0].version:
                self.retire(entry, "an earlier version is served in its place")
            if entry.state is not State.READY or entry in kept or entry is withdrawn:
                continue
            if entry.version > oldest or not self._settings.linger_seconds:
                self.retire(entry, "other versions are served in its place")
                continue
            entry.state = State.LINGERING
            entry.reason = f"superseded; it answers by its number for {self._settings.linger_seconds:g} s"
            self._entries.choose_latest(name)
            self._lingering.add(entry)

    def _go_back(self, name: str, successor: int) -> None:
        """Leave the versions that are newer than the one that answers now."""
        before = self._entries.latest(name)
        for each in list(self._entries.of(name).values()):
            if each.version > successor and each.state in (State.READY, State.LINGERING):
                self.retire(each, "it was withdrawn")
        self._report_swap(before, self._entries.latest(name))

    def _report_swap(self, before: Entry | None, now: Entry | None) -> None:
        if before is not None and now is not before and now is not None:
            self._metrics.model_swapped(now.name)
            _log.info("model %s: version %d took over from version %d", now.name, now.version, before.version)

    def _stays_cold(self, entry: Entry) -> bool:
        """Whether a version that takes no other's place waits for a call."""
        settings = self._loader.settings
        if not settings.loads_on_call or entry.load is not None or settings.is_pinned(entry.name):
            return False
        return entry.state in (State.LOADING, State.COLD) or entry.due

    def _keep_cold(self, entry: Entry) -> None:
        if entry.state is not State.COLD or not entry.held:
            entry.state, entry.reason, entry.due = State.COLD, COLD_REASON, False
        self._metrics.model_cold(entry.name, entry.version)

    def _forget_unwanted(self, name: str, wanted: Sequence[int], kept: Sequence[Entry]) -> None:
        """Forget versions that do not answer and are no longer wanted, so that their alerts end without a restart."""
        oldest = min((entry.version for entry in kept), default=0)
        there = frozenset(wanted)
        for version, entry in list(self._entries.of(name).items()):
            if entry.model is not None:
                continue
            if entry.load is not None:
                if version not in there:
                    self.retire(entry, "it is wanted no more")  # it may wait for workers that never load it
                continue
            if version not in there or version < oldest:
                self._metrics.model_retired(name, version)
            if version not in there or (entry.state is State.COLD and version < oldest):
                self._entries.remove(entry)

    def _end_linger(self, entry: Entry) -> None:
        self.retire(entry, "it was superseded, and its time or the memory for such versions is over")
