"""The registry: from name and version to a live model. Loads, swaps, leases."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from functools import partial

from service.errors import StorageError
from service.metrics.metrics import Metrics
from service.quota.quotas import Quotas
from service.registry.agreement import Agreement
from service.registry.change_signal import ChangeSignal
from service.registry.entries import Entries, Entry
from service.registry.loader import Loader
from service.registry.model.closing import Closing
from service.registry.model.session import check_providers
from service.registry.readiness import Readiness
from service.registry.residency.awaited_versions import AwaitedVersions
from service.registry.residency.requested_loads import RequestedLoads
from service.registry.residency.residency import Residency
from service.registry.retries import Retries
from service.registry.scanning.absent_versions import AbsentVersions
from service.registry.scanning.changed_files import ChangedFiles
from service.registry.scanning.listing import Listing
from service.registry.scanning.watcher import Watcher
from service.registry.succession.adoption import Adoption
from service.registry.succession.succession import Succession
from service.registry.version_status import State, VersionStatus
from service.repository.source import open_source
from service.settings import Settings

__all__ = ["Registry", "State", "VersionStatus"]

_log = logging.getLogger(__name__)


class Registry:
    """The models of one server. Used on one event loop.

    Args:
        settings: Address of the repository, and how models run.
        metrics: Counts loads and refusals, and shows readiness.
        agreement: What other workers say of a version; None if this process is the only one.
        quotas: Those of models; None: of this process alone.

    Attributes:
        lease, lease_or_wait: As those of :class:`service.registry.entries.Entries`, and not wrapped: every request
            calls one of them.
        adoption: Has models run with other settings; what only a restart changes stays. `adopt` is its method.
        callers_may_load: Whether callers may load and unload models.
        requested: Loads and unloads that callers ask for. `load` and `unload` are its methods.
        ready, unready_reason, probe, statuses: As those of :class:`service.registry.readiness.Readiness`.

    Raises:
        StartupError: The address of the repository is invalid.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, agreement: Agreement | None = None, quotas: Quotas | None = None
    ) -> None:
        self._settings, self._metrics = settings, metrics
        self.callers_may_load = settings.allow_load
        self._source = open_source(settings)
        self._listing = Listing(settings.linger_seconds, settings.version_policy)
        self._entries = Entries()
        self.lease, self.lease_or_wait = self._entries.lease, self._entries.lease_or_wait
        self._readiness = Readiness(self._entries, agreement)
        self.ready, self.unready_reason = self._readiness.ready, self._readiness.unready_reason
        self.probe, self.statuses = self._readiness.probe, self._readiness.statuses
        closing = Closing(metrics)
        loads = (settings, metrics, self._listing.of, self._load_changed, self._entries.arm, closing)
        self._loader = Loader(self._source, *loads, agreement, quotas)
        self._succession = Succession(self._entries, self._loader, metrics, settings, self._settle, closing, agreement)
        self._changes = ChangeSignal()
        self._residency = Residency(self._entries, self._loader, self._succession, self._changes, settings)
        self._retries = Retries(self._entries, self._source, agreement)
        self._changed_files = ChangedFiles(self._entries, self._source)
        self._absent = AbsentVersions(self._entries, self._listing, metrics)
        self._entries.why_unserved = self._absent.why_unserved
        self._unloaded: set[str] = set() if agreement is None else set(agreement.unloaded)
        waits = (self._listing, self._loader, self._residency, self.scan, self._changes, self._unloaded, settings)
        self._awaited = AwaitedVersions(self._entries, *waits)
        self._entries.wait_for = self._awaited.wait_for
        self._scanning = asyncio.Lock()
        of_adoption = (self._listing, self._unloaded, self._scanning, self._adopted, settings)
        self.adoption = Adoption(self._entries, self._loader, self._succession, *of_adoption)
        self.adopt = self.adoption.adopt
        known = (self._source, self._listing, self._scanning, self._unloaded, self._awaited, self._succession)
        self.requested = RequestedLoads(self._entries, *known, self._settle, self._report_change, agreement)
        self.load, self.unload = self.requested.load, self.requested.unload
        self._notify: Callable[[], None] = lambda: None
        self._started = False  # load_all has ended; the entries are complete once the repository has been read too

    async def load_all(self) -> None:
        """Load the versions that the version policy asks for, and wait for the loads.

        If a version is refused, the version before it is loaded in its place. A slow load is not waited for while
        another model answers.

        If object storage does not answer, the versions in the cache are served. If the cache is empty and the server
        polls, it waits for the storage: it is live but not ready.

        Raises:
            StartupError: The repository cannot be read and waiting would not help, or CUDA is set and not available.
        """
        check_providers(self._settings)
        try:
            await self.refresh()
        except StorageError as error:
            serves = bool(self._entries.ready())
            if not serves and not (error.may_pass and self._settings.poll_seconds):
                raise
            self._readiness.start_error = str(error)
            _log.error("%s; %s", error, "what the cache holds is served" if serves else "it is tried again")
            self._entries.complete = serves
        else:
            self._entries.complete = True
        if self._loader.failure is not None:
            raise self._loader.failure
        self._started = True

    async def refresh(self) -> bool:
        """Scan the repository again, and wait for the loads that this starts. Slow loads are not waited for.

        Returns whether other versions answer now than before.

        Raises:
            StartupError: The repository or a wanted version cannot be read. Everything else was done.
        """
        before = self._entries.ready()
        try:
            await self.scan()
        finally:
            await self._changes.until(lambda: self._loader.is_idle(one_answers=bool(self._entries.ready())))
        storage_error = self._loader.take_error()
        if storage_error is not None:
            raise storage_error
        return self._entries.ready() != before

    async def scan(self, *, rests: bool = False) -> None:
        """Scan the repository: start to load new versions, retire versions that are no longer wanted.

        A version that answers is retired only after another version of its model has taken over. So it keeps answering
        if the new version is refused, or if all files of the model are removed.

        Args:
            rests: As for Source.list_models.

        Raises:
            StartupError: The repository, or a version that the previous scan wanted, cannot be read. All else was done.
        """
        storage_error = self._loader.take_error()
        async with self._scanning:
            self._listing.update(await self._source.list_models(rests=rests), time.monotonic())
            changed = self._listing.take_changed()
            self._succession.forget_removed(self._listing.names)
            await asyncio.sleep(0)  # of ten thousand models each part takes 3 ms, and calls get their turn in between
            await self._retries.check()
            await asyncio.sleep(0)
            self._retries.compare_again(changed)
            for name in sorted(self._unsettled(changed)):  # as in other workers, since their loads wait for each other
                for entry in self._entries.of(name).values():
                    entry.held = False
                self._settle(name)
            self._residency.trim()
            self._changes.notify()  # the scan may have ended the load that a call waits for
            self._entries.complete = self._entries.complete or self._started
            await self._source.mark_used(self._entries.ready)
        self._changed_files.look()
        storage_error = self._source.last_error or storage_error
        if storage_error is not None:
            raise storage_error
        self._absent.tell()
        self._metrics.repository_seen()

    def watch(self, changed: Callable[[], None]) -> None:
        """Scan the repository every `poll_seconds` until the registry is drained or closed.

        Args:
            changed: Is called after each change in the versions that answer.
        """
        self._notify = changed
        polls = partial(self.scan, rests=True)
        self._readiness.watcher = Watcher(polls, self._settings.poll_seconds, self._readiness.start_error)

    @property
    def draining(self) -> bool:
        """True from drain() or close() on. Leases are still given, but batchers refuse new rows."""
        return self._entries.draining

    @property
    def no_versions_reason(self) -> str:
        """What an operator should know if the repository holds no version at all; "" if it holds one."""
        return self._source.no_versions_reason

    async def drain(self) -> None:
        """Turn readiness off, refuse new rows, and wait until every accepted row is answered."""
        self._entries.draining = True
        self._report_change()
        models = self._succession.models()
        for model in models:
            self._metrics.model_ready(model.name, model.version, ready=False)
        for entry in self._entries:
            if entry.state is State.COLD:
                self._metrics.model_retired(entry.name, entry.version)
        await asyncio.gather(self._stop_loading(), *(model.drain() for model in models))

    async def close(self) -> None:
        """Close every model. Rows that still wait fail with Draining."""
        self._entries.draining = True
        await self._stop_loading()
        await self._succession.close()

    async def _stop_loading(self) -> None:
        if self._readiness.watcher is not None:
            await self._readiness.watcher.stop()
        await self._awaited.close()
        await self._retries.close()
        await self._changed_files.close()
        await self._loader.close()

    def _load_changed(self, entry: Entry) -> None:
        """A load has ended or become slow."""
        if self._entries.draining:
            return
        self._settle(entry.name)
        self._residency.admit(entry)
        self._report_change()

    def _unsettled(self, changed: Collection[str]) -> Collection[str]:
        """The models to settle after a scan. Of ten thousand models those alone for which something has changed."""
        if not self._settings.loads_on_call:
            return self._listing.names - self._unloaded
        unsettled = {*changed, *(entry.name for entry in self._entries if entry.held or entry.due)}
        return (unsettled & self._listing.names) - self._unloaded

    def _settle(self, name: str) -> None:
        self._succession.settle(name, *self._listing.wanted(name))

    def _adopted(self) -> None:
        """Settings are in force."""
        if self._source.last_error is None:  # else the listing may be that of the cache
            self._absent.tell()
        self._report_change()

    def _report_change(self) -> None:
        """Wake the requests that wait for a version, and call the callback of `watch`."""
        self._changes.notify()
        self._notify()
