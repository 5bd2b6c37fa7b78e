"""Name and version -> live model: which versions answer, swaps, leases, readiness."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from service.errors import Draining, ModelNotFound, ModelNotReady, StartupError, StorageError
from service.metrics.metrics import Metrics
from service.registry.arrivals import Arrivals
from service.registry.entries import Entries, Entry, State, VersionStatus, shown
from service.registry.listing import Listing
from service.registry.loader import Loader
from service.registry.model.live_model import LiveModel
from service.registry.model.session import provider_in_use
from service.registry.news import News
from service.registry.repairs import Repairs
from service.registry.succession import Succession
from service.registry.watcher import Watcher
from service.repository.disk import model_name
from service.repository.source import open_source
from service.settings import Settings

__all__ = ["Registry", "State", "VersionStatus"]

_log = logging.getLogger(__name__)

# How long a call without a deadline waits for a version that is on its way, and the part of its time that one with a
# deadline waits: its caller needs the rest to ask another replica.
_WAIT_SECONDS, _WAIT_PART = 5.0, 0.8
# The part of max_calls that may wait so.
_WAITING_SHARE = 8


class Registry:
    """The models of one server. Lives on one event loop; only `unready_reason` and `ready` are for any thread.

    Args:
        settings: Where the repository is, and how models run.
        metrics: Told of loads, refusals and readiness.

    Raises:
        StartupError: Where the repository is cannot be made out.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._policy = settings.version_policy
        self._source = open_source(settings)
        self._listing = Listing(settings.linger_seconds)
        self._entries = Entries()
        self._loader = Loader(self._source, settings, metrics, self._listing.of, self._load_changed)
        self._succession = Succession(self._entries, self._loader, metrics, settings)
        self._repairs = Repairs(self._entries, self._source)
        self._news = News()
        self._unloaded: set[str] = set()
        self._arrivals = Arrivals(
            *(self._entries, self._listing, self._policy, self._loader, self.look, self._news),
            unloaded=self._unloaded,
            most_waiting=max(1, settings.max_calls // _WAITING_SHARE),
        )
        self._looking = asyncio.Lock()
        self._watcher: Watcher | None = None
        self._notify: Callable[[], None] = lambda: None
        self._trouble = ""  # at the start, and logged
        self._started = False  # load_all has ended
        self._loaded = False  # and what it could not read then has been read
        self._draining = False
        self._gone: set[str] = set()

    async def load_all(self) -> None:
        """Load what the version policy asks for; in the place of a version that is refused comes the one before it.

        A load that takes long is not waited for while another model answers.

        Where object storage does not answer, what the cache holds is served; where that is nothing, a server that
        polls waits for the storage, live and not ready.

        Raises:
            StartupError: The repository cannot be read and waiting would not help, or CUDA is asked for and absent.
        """
        provider_in_use(self._settings)
        try:
            await self._look_and_load()
        except StorageError as error:
            serves = bool(self._entries.ready())
            if not serves and not (error.may_pass and self._settings.poll_seconds):
                raise
            self._trouble = str(error)
            _log.error("%s; %s", error, "what the cache holds is served" if serves else "it is tried again")
            self._loaded = serves
        else:
            self._loaded = True
        if self._loader.failure is not None:
            raise self._loader.failure
        self._started = True
        self._tell()

    async def refresh(self) -> bool:
        """Look at the repository again, and wait for the loads that this leads to, but for those that take long.

        Returns:
            Whether other versions answer now.

        Raises:
            StartupError: The repository, or something in it that is wanted, cannot be read; the rest is done.
        """
        before = self._entries.ready()
        await self._look_and_load()
        return self._entries.ready() != before

    async def look(self) -> None:
        """Look at the repository again: begin to load what is new and wanted, retire what no longer is.

        A version that answers goes only when another of its model has taken its place: where a new one is refused, or
        all of a model's files are gone, what answers goes on.

        Raises:
            StartupError: The repository, or something in it that was wanted at the look before, cannot be read; the
                rest is done.
        """
        trouble = self._take_trouble()
        async with self._looking:
            changed = self._listing.update(await self._source.list_models(), time.monotonic())
            self._tell_of_models_gone()
            await self._repairs.look()
            self._compare_again(changed)
            for name in self._listing.names:
                if name in self._unloaded:
                    continue
                for entry in self._entries.of(name).values():
                    entry.held = False
                self._settle(name)
            self._loaded = self._loaded or self._started
            await self._source.mark_used(self._entries.ready())
        trouble = self._source.last_error or trouble
        if trouble is not None:
            raise trouble
        self._metrics.repository_seen()

    async def load(self, name: str) -> None:
        """Load one model again now, also where it was unloaded, and versions that were refused too.

        Raises:
            ModelNotFound: The repository has no version of it that the policy allows.
            ModelNotReady: None of its versions can be served; the newest one's reason is told.
            StartupError: The repository cannot be read.
        """
        async with self._looking:
            self._listing.update(await self._source.list_models(), time.monotonic())
            descending, _ = self._policy.wanted(name, self._listing.of(name))
            if not descending:
                raise ModelNotFound(f"the repository has no version of model {shown(name)} to load")
            self._unloaded.discard(name)
            for entry in self._entries.of(name).values():
                entry.held = False
                entry.due = entry.state is State.REFUSED
            self._settle(name)
        await self._news.until(lambda: self._draining or not self._arrivals.is_loading(name, None))
        if self._draining:
            raise Draining("the server is stopping and loads nothing new")
        async with self._looking:
            await self._source.mark_used(self._entries.ready())
        if self._entries.latest(name) is None:
            newest = self._entries.of(name).get(descending[0])
            reason = "it was unloaded meanwhile" if newest is None else newest.unready_reason()
            raise ModelNotReady(f"model {name!r} version {descending[0]} does not answer: {reason}")

    async def unload(self, name: str) -> None:
        """Serve a model no longer, until it is loaded again; who uses it now is still answered.

        Raises:
            ModelNotFound: It is not served.
        """
        self._entries.find(name, None, complete=True)
        self._unloaded.add(name)
        for entry in list(self._entries.of(name).values()):
            self._succession.retire(entry)
        self._entries.remove_model(name)
        self._tell()

    def watch(self, changed: Callable[[], None]) -> None:
        """Look every `poll_seconds` until the registry is drained or closed.

        Args:
            changed: Is called after each change of what answers.
        """
        self._notify = changed
        self._watcher = Watcher(self.look, self._settings.poll_seconds, self._trouble)

    def lease(self, name: str, version: int | None = None) -> AbstractContextManager[LiveModel, None]:
        """A model to use for the length of a with block, entered at once; it is not swapped away meanwhile.

        Args:
            name: The model.
            version: None for the latest that is ready.

        Raises:
            ModelNotFound: No such model or version is served; the message lists what is.
            ModelNotReady: It is loading, was refused, or its batcher broke.
        """
        entry = self._entries.find(name, version, complete=self._loaded)
        if reason := entry.unready_reason():
            raise ModelNotReady(f"model {name!r} version {entry.version} does not answer: {reason}")
        return entry

    async def lease_or_wait(
        self, name: str, version: int | None = None, deadline: float | None = None
    ) -> AbstractContextManager[LiveModel, None]:
        """A lease; where the version is not here but on its way, once it has come.

        Another replica may serve already what was published since this one looked. So before a version is said to be
        unknown this one looks again, at most once a second.

        Args:
            name: The model.
            version: None for the latest that is ready.
            deadline: Of the call, in monotonic seconds; the wait ends after four fifths of its time. None: after 5 s.

        Raises:
            ModelNotFound: No such model or version is served, and the repository has none that is wanted.
            ModelNotReady: It did not come in time, was refused, or its batcher broke.
        """
        try:
            return self.lease(name, version)
        except (ModelNotFound, ModelNotReady):
            if not self._may_come(name, version):
                raise
        seconds = _WAIT_SECONDS if deadline is None else _WAIT_PART * (deadline - time.monotonic())
        try:
            async with asyncio.timeout(seconds):
                await self._arrivals.until_settled(name, version, lambda: self._draining)
        except TimeoutError:
            which = "" if version is None else f" version {version}"
            raise ModelNotReady(
                f"model {shown(name)}{which} is not loaded after {seconds:.3g} s; another replica may have it"
            ) from None
        except StartupError as error:
            raise ModelNotReady(str(error)) from error
        if self._draining:
            raise Draining("the server is stopping and loads nothing new")
        return self.lease(name, version)

    def statuses(self) -> list[VersionStatus]:
        """Every version that was tried, by name and version."""
        return self._entries.statuses()

    @property
    def callers_may_load(self) -> bool:
        """Whether models are loaded and unloaded on request."""
        return self._settings.allow_load

    @property
    def draining(self) -> bool:
        """True from drain() or close() on: leases are still given, and batchers refuse what is new."""
        return self._draining

    def ready(self) -> bool:
        """True when the server should get requests."""
        return not self.unready_reason()

    def unready_reason(self) -> str:
        """Why the server should get no requests; "" when it should.

        One refused model does not turn the others away; a batcher that broke does, since only a restart helps.
        """
        if self._draining:
            return "draining"
        if not self._loaded:
            return self._trouble or "models are loading"
        if self._watcher is not None and not self._watcher.alive:
            return "the repository is not looked at any more; restart the server"
        served = [entry for entry in self._entries if entry.model and entry.state is State.READY]
        for entry in served:
            if reason := entry.unready_reason():
                return f"model {entry.name!r} version {entry.version} does not answer: {reason}"
        return "" if served else "no model is ready"

    async def drain(self) -> None:
        """Turn readiness off, refuse new rows, and wait until every accepted row is answered."""
        self._draining = True
        self._tell()
        models = self._succession.models()
        for model in models:
            self._metrics.model_ready(model.name, model.version, ready=False)
        await asyncio.gather(self._stop_loading(), *(model.batcher.drain() for model in models))

    async def close(self) -> None:
        """Close every model; rows that still wait fail with Draining."""
        self._draining = True
        await self._stop_loading()
        await self._succession.close()

    async def _look_and_load(self) -> None:
        try:
            await self.look()
        finally:
            await self._news.until(self._nothing_quick_is_loading)
        trouble = self._take_trouble()
        if trouble is not None:
            raise trouble

    def _nothing_quick_is_loading(self) -> bool:
        """Whether waiting for loads is over: for slow ones only while nothing else answers."""
        loading = self._loader.loading
        return all(entry.slow for entry in loading) and (not loading or bool(self._entries.ready()))

    def _take_trouble(self) -> StorageError | None:
        """What kept versions from being read since this was asked last."""
        trouble, self._loader.last_error = self._loader.last_error, None
        return trouble

    async def _stop_loading(self) -> None:
        if self._watcher is not None:
            await self._watcher.stop()
        await self._arrivals.close()
        await self._repairs.close()
        await self._loader.close()

    def _may_come(self, name: str, version: int | None) -> bool:
        """Whether a version that does not answer now may do so soon."""
        if not self._loaded or self._draining or name in self._unloaded:
            return False
        if self._arrivals.is_loading(name, version):
            return True
        known = self._entries.of(name)
        unknown = not known if version is None else version not in known
        return unknown and self._settings.poll_seconds > 0 and model_name(name) is not None

    def _load_changed(self, entry: Entry) -> None:
        """A load is over, or has become slow."""
        if self._draining or entry.name in self._unloaded:
            return
        self._settle(entry.name)
        self._tell()

    def _settle(self, name: str) -> None:
        self._succession.settle(name, *self._policy.wanted(name, self._listing.of(name)))

    def _tell(self) -> None:
        """Wake whoever waits for a version, and whoever watches."""
        self._news.tell()
        self._notify()

    def _compare_again(self, changed: Collection[str]) -> None:
        """Have versions tried again that did not fit the ones before them, where others are there now."""
        for name in changed:
            for entry in self._entries.of(name).values():
                if entry.refusal is not None and entry.refusal.kind == "incompatible":
                    entry.due = True

    def _tell_of_models_gone(self) -> None:
        gone = {name for name in self._entries.names() if name not in self._listing.names}
        for name in gone:
            for entry in [each for each in self._entries.of(name).values() if each.model is None]:
                self._succession.retire(entry)
        gone.intersection_update(self._entries.names())
        for name in sorted(gone - self._gone):
            _log.warning("model %s: its files are gone; what is loaded answers on until the server is restarted", name)
        self._gone = gone
