"""Name and version -> live model: loading, swaps, leases, readiness."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from service.entries import Entries, shown
from service.entry import Entry, State, Status
from service.errors import ModelNotFound, ModelNotReady, StorageError
from service.metrics import Metrics
from service.model import LiveModel, load
from service.repository import Artefact, ModelRefused
from service.session import provider_in_use
from service.settings import Settings
from service.source import open_source
from service.watcher import Watcher

__all__ = ["Registry", "State", "Status"]

_log = logging.getLogger(__name__)


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
        self._source = open_source(settings)
        self._trouble = ""  # at the start, and told
        self._entries = Entries()
        self._loaded = False
        self._draining = False
        self._policy = settings.version_policy
        self._refreshing = asyncio.Lock()
        self._retiring: dict[asyncio.Task[None], LiveModel] = {}
        self._gone: set[str] = set()
        self._unloaded: set[str] = set()
        self._watcher: Watcher | None = None

    async def load_all(self) -> None:
        """Load what the version policy asks for; in the place of a version that is refused comes the one before it.

        Where object storage does not answer, what the cache holds is served; where that is nothing, a server that
        polls waits for the storage, live and not ready.

        Raises:
            StartupError: The repository cannot be read and waiting would not help, or CUDA is asked for and absent.
        """
        provider_in_use(self._settings)
        try:
            await self.refresh()
        except StorageError as error:
            serves = bool(self._entries.ready())
            if not serves and not (error.may_pass and self._settings.poll_seconds):
                raise
            self._trouble = str(error)
            _log.error("%s; %s", error, "what the cache holds is served" if serves else "it is tried again")

    async def refresh(self) -> bool:
        """Look at the repository again: load what is new and wanted, then retire what no longer is.

        A version that answers goes only when another of its model has taken its place: where a new one is refused, or
        all of a model's files are gone, what answers goes on.

        Returns:
            Whether anything changed.

        Raises:
            StartupError: The repository, or something in it that is wanted, cannot be read; the rest is done.
        """
        async with self._refreshing:
            versions: dict[str, list[int]] = {}
            for name, version in await self._source.list_models():
                if name not in self._unloaded:
                    versions.setdefault(name, []).append(version)
            self._tell_of_models_gone(versions.keys())
            before = self._entries.ready()
            wanted = {name: self._policy.wanted(name, found) for name, found in versions.items()}
            for name, (descending, _) in wanted.items():
                for version in descending[:1]:
                    self._entries.add(name, version)
            for name, (descending, count) in wanted.items():
                await self._refresh_model(name, descending, count)
            self._loaded = True
            ready = self._entries.ready()
            await self._source.keep(ready)
            if self._source.trouble is not None:
                raise self._source.trouble
            self._metrics.repository_seen()
            return ready != before

    async def load(self, name: str) -> None:
        """Look at one model again now, also where it was unloaded.

        Raises:
            ModelNotFound: The repository has no version of it that the policy allows.
            ModelNotReady: None of its versions can be served; the newest one's reason is told.
            StartupError: The repository cannot be read.
        """
        async with self._refreshing:
            found = await self._source.list_models()
            versions = [version for each, version in found if each == name]
            descending, count = self._policy.wanted(name, versions)
            if not descending:
                raise ModelNotFound(f"the repository has no version of model {shown(name)} to load")
            self._unloaded.discard(name)
            await self._refresh_model(name, descending, count)
            await self._source.keep(self._entries.ready())
        if self._entries.latest(name) is None:
            newest = self._entries.of(name)[descending[0]]
            raise ModelNotReady(f"model {name!r} version {newest.version} does not answer: {newest.unready_reason()}")

    async def unload(self, name: str) -> None:
        """Serve a model no longer, until it is loaded again; who uses it now is still answered.

        Raises:
            ModelNotFound: It is not served.
        """
        async with self._refreshing:
            self._entries.find(name, None, complete=True)
            self._unloaded.add(name)
            for entry in list(self._entries.of(name).values()):
                if entry.model is not None:
                    self._retire(entry, entry.model)
                else:
                    self._metrics.model_retired(name, entry.version)
            self._entries.remove_model(name)

    def watch(self, changed: Callable[[], None]) -> None:
        """Refresh every `poll_seconds` until the registry is drained or closed.

        Args:
            changed: Is called after each refresh that changed anything.
        """
        self._watcher = Watcher(self.refresh, self._settings.poll_seconds, changed, self._trouble)

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

    def statuses(self) -> list[Status]:
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
        served = [entry for entry in self._entries if entry.model]
        for entry in served:
            if reason := entry.unready_reason():
                return f"model {entry.name!r} version {entry.version} does not answer: {reason}"
        return "" if served else "no model is ready"

    async def drain(self) -> None:
        """Turn readiness off, refuse new rows, and wait until every accepted row is answered."""
        self._draining = True
        if self._watcher is not None:
            await self._watcher.stop()
        models = self._models()
        for model in models:
            self._metrics.model_ready(model.name, model.version, ready=False)
        await asyncio.gather(*(model.batcher.drain() for model in models))

    async def close(self) -> None:
        """Close every model; rows that still wait fail with Draining."""
        self._draining = True
        if self._watcher is not None:
            await self._watcher.stop()
        await asyncio.gather(*(model.close() for model in self._models()))
        await asyncio.gather(*self._retiring)

    async def _refresh_model(self, name: str, descending: list[int], count: int) -> None:
        """Load the newest `count` versions that can be, then retire the model's others."""
        kept: list[Entry] = []
        latest = self._entries.latest(name)
        for version in descending:
            if len(kept) == count:
                break
            entry = self._entries.add(name, version)
            if entry.state is State.READY or await self._try(entry):
                kept.append(entry)
        for version, entry in list(self._entries.of(name).items()):
            if entry.model is not None and kept and entry not in kept:
                self._retire(entry, entry.model)
            elif entry.model is None and (
                version not in descending or (len(kept) == count and version < kept[-1].version)
            ):
                # Refused, and nobody wants it any more: an alert for it must end without a restart.
                self._metrics.model_retired(name, version)
                if version not in descending:
                    self._entries.remove(entry)
        now = self._entries.latest(name)
        if latest is not None and now is not latest and now is not None:
            self._metrics.model_swapped(name)
            _log.info("model %s: version %d took over from version %d", name, now.version, latest.version)

    async def _try(self, entry: Entry) -> bool:
        """Load a version, unless its files are those that were refused."""
        found = await self._source.stamp(entry.name, entry.version)
        if entry.state is State.REFUSED and found == entry.stamp:
            return False
        entry.stamp = found
        return await self._load(entry)

    def _retire(self, entry: Entry, model: LiveModel) -> None:
        """Give a version to nobody else, and close it when its last user is done."""
        self._entries.remove(entry)
        task = asyncio.create_task(self._close_unused(entry, model), name=f"retire {entry.name}/{entry.version}")
        self._retiring[task] = model
        task.add_done_callback(lambda done: self._retiring.pop(done))

    async def _close_unused(self, entry: Entry, model: LiveModel) -> None:
        while entry.users:
            entry.unused.clear()
            await entry.unused.wait()
        await model.batcher.drain()
        await model.close()
        self._metrics.model_retired(entry.name, entry.version)
        _log.info("model %s version %d closed", entry.name, entry.version)

    def _tell_of_models_gone(self, names: Collection[str]) -> None:
        gone = {name for name in self._entries.names() if name not in names}
        for name in sorted(gone - self._gone):
            _log.warning("model %s: its files are gone; what is loaded answers on until the server is restarted", name)
            for version, entry in self._entries.of(name).items():
                if entry.model is None:
                    self._metrics.model_retired(name, version)
        self._gone = gone

    def _models(self) -> list[LiveModel]:
        """Every model that was loaded and is not closed."""
        served = [entry.model for entry in self._entries if entry.model]
        return [*served, *self._retiring.values()]

    async def _load(self, entry: Entry) -> bool:
        """Try one version; True when it answers."""
        began = time.monotonic()
        try:
            artefact = await self._source.read_version(entry.name, entry.version)
            entry.manifest = artefact.manifest
            entry.model = await asyncio.to_thread(self._open, artefact)
        except StorageError as error:
            entry.state, entry.reason = State.LOADING, str(error)
            return False
        except ModelRefused as error:
            entry.state, entry.reason = State.REFUSED, str(error)
            self._metrics.model_refused(entry.name, entry.version, error.kind)
            _log.error("model %s version %d refused: %s", entry.name, entry.version, error)
            return False
        seconds = time.monotonic() - began
        entry.state, entry.reason = State.READY, ""
        self._entries.choose_latest(entry.name)
        self._metrics.model_loaded(entry.name, seconds)
        self._metrics.model_ready(entry.name, entry.version, ready=True)
        where = "on the event loop" if entry.model.inline else "in a thread"
        _log.info("model %s version %d ready after %.3f s, runs %s", entry.name, entry.version, seconds, where)
        return True

    def _open(self, artefact: Artefact) -> LiveModel:
        return load(artefact, self._settings, self._metrics)
