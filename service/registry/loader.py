"""Loads several versions at once. A failure refuses only the version that failed."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

from service.batching.turns import Turns
from service.errors import ModelRefused, StartupError, StorageError
from service.metrics.metrics import Metrics
from service.quota.quotas import Quotas
from service.registry.agreement import OTHER_WORKER, Agreement, LoadAgain
from service.registry.entries import Entry
from service.registry.model.closing import Closing
from service.registry.model.live_model import LiveModel, load
from service.registry.model.session import Halt
from service.registry.refusal import lacks_resources, refusal, unexpected
from service.registry.version_status import State
from service.repository.daemon_thread import in_daemon_thread
from service.repository.disk import Artefact, digest
from service.repository.predecessors import Predecessors
from service.repository.source import Source
from service.settings import Settings

_log = logging.getLogger(__name__)

# Loads share memory and cores with the models that answer.
_LOADS_AT_ONCE = 4
# A load that has taken this part of its time is slow: another load may start in its place.
_PATIENT_PART, _LONGEST_PATIENCE_SECONDS = 1 / 6, 10.0


class Loader:
    """Runs the loads. Used on one event loop.

    Args:
        source: Reads versions.
        settings: How models run, and how long a load may take.
        metrics: Counts loads and refusals.
        versions: Gives the versions of a model that are in the repository.
        changed: Is called with a version when its load becomes slow, and when its load ends.
        arm: Lets a version take over before its load has ended (:meth:`service.registry.entries.Entries.arm`).
        closing: Closes what the workers do not take.
        agreement: What other workers say of a version; None if this process is the only one.
        quotas: Those of models; None: of this process alone.

    Attributes:
        settings: As given. They may be replaced.
        failure: An error that must stop the start of the server, because CUDA is set and does not work; None without.
    """

    def __init__(
        self,
        source: Source,
        settings: Settings,
        metrics: Metrics,
        versions: Callable[[str], Sequence[int]],
        changed: Callable[[Entry], None],
        arm: Callable[[Entry, Callable[[], bool] | None], None],
        closing: Closing,
        agreement: Agreement | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        self.failure: StartupError | None = None
        self._storage_error: StorageError | None = None
        self.settings, self._source, self._metrics, self._versions = settings, source, metrics, versions
        self._changed, self._arm, self._closing, self._agreement = changed, arm, closing, agreement
        self._predecessors = Predecessors(source, settings.incompatible_models)
        self._slots, self._turns, self._quotas = asyncio.Semaphore(_LOADS_AT_ONCE), Turns(), quotas or Quotas()
        self._patience_seconds = min(_LONGEST_PATIENCE_SECONDS, _PATIENT_PART * settings.max_load_seconds)
        self._loading: dict[asyncio.Task[None], Entry] = {}

    @property
    def loading(self) -> Collection[Entry]:
        """The versions that are being loaded."""
        return [entry for entry in self._loading.values() if entry.load is not None]

    def is_idle(self, *, one_answers: bool) -> bool:
        """Whether no load is worth a wait. Slow loads are waited for only while no version answers."""
        return all(entry.slow for entry in self.loading) and (one_answers or not self.loading)

    def is_outdated(self, entry: Entry) -> bool:
        """Whether a version answers by a model that was made for other settings."""
        return entry.model is not None and entry.model.run_terms != self.settings.run_terms(entry.name)

    def start(self, entry: Entry) -> None:
        """Begin to load a version, unless it is being loaded already."""
        if entry.load is None:
            if self._agreement is not None:
                self._agreement.loading(entry.name, entry.version)
            entry.load = asyncio.create_task(self._run(entry), name=f"load {entry.name}/{entry.version}")
            self._loading[entry.load] = entry
            entry.load.add_done_callback(lambda done: self._loading.pop(done, None))

    async def remake(self, entry: Entry, settings: Settings) -> LiveModel:
        """Load a version that answers once more, with other settings. Nothing else changes.

        Raises:
            ModelRefused: It cannot run with them, or its files have changed.
            StartupError: Its files cannot be read, or its provider does not work.
        """
        try:
            async with self._slots:
                async with asyncio.timeout(self._source.read_seconds):
                    artefact = await self._source.read_version(entry.name, entry.version)
                if artefact.manifest != entry.manifest:
                    # Nobody has compared it with its predecessors, and callers know the version by its manifest.
                    raise ModelRefused("manifest", "its files have changed; wanted those that it was loaded from")
                return await self._make(artefact, settings)
        except TimeoutError as error:
            raise self._too_slow() from error

    def take_error(self) -> StorageError | None:
        """The last failure to read from storage since the previous call of this method."""
        storage_error, self._storage_error = self._storage_error, None
        return storage_error

    async def close(self) -> None:
        """Cancel all loads. A thread that hangs is abandoned."""
        for task, entry in (loads := list(self._loading.items())):
            task.cancel()
            entry.load = None
        await asyncio.gather(*dict(loads), return_exceptions=True)

    async def _run(self, entry: Entry) -> None:
        """Load one version. The load gives up its slot when it becomes slow, or waits for other workers."""
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._slots.acquire()
        loading = asyncio.create_task(self._load(entry, opened))
        try:
            try:
                await asyncio.wait({loading, opened}, timeout=self._patience_seconds, return_when="FIRST_COMPLETED")
            finally:
                self._slots.release()
            if opened.done():
                await asyncio.wait({loading}, timeout=self._patience_seconds)
        except asyncio.CancelledError:
            loading.cancel()
            raise
        if not loading.done():
            entry.slow = True
            self._changed(entry)
        await loading

    async def _load(self, entry: Entry, opened: "asyncio.Future[None]") -> None:
        """Try to load one version, and record the result in its entry. `opened` is done once it is open."""
        began = time.monotonic()
        try:
            model = await self._open(entry)
            opened.set_result(None)
            while self._agreement is not None and not await self._is_agreed(entry, model, self._agreement):
                async with self._slots:
                    model = await self._open(entry)
        except StorageError as error:
            # Without its frames, which may hold a model.
            entry.reason, entry.held, self._storage_error = str(error), True, error.with_traceback(None)
            if self._agreement is not None:  # nobody knows when it is read again, and the others must not wait for it
                self._agreement.refused(entry.name, entry.version, str(error))
        except ModelRefused as refused:
            self._refuse(entry, refused)
        except StartupError as error:
            self.failure = error
            self._refuse(entry, ModelRefused("provider", str(error)))
        except Exception as error:
            _log.exception("model %s version %d cannot be loaded", entry.name, entry.version)
            self._refuse(entry, unexpected(error))
        else:
            self._accept(entry, model, time.monotonic() - began)
        entry.load, entry.slow = None, False
        self._changed(entry)

    async def _open(self, entry: Entry) -> LiveModel:
        """Read a version, compare it with its predecessors, open it and warm it up."""
        try:
            async with asyncio.timeout(self._source.read_seconds):
                (entry.fingerprint,) = (await self._source.fingerprints([(entry.name, entry.version)])).values()
                artefact = await self._source.read_version(entry.name, entry.version)
                entry.manifest = artefact.manifest
                await self._predecessors.check(artefact.manifest, self._versions(entry.name))
                if self._agreement is not None:
                    entry.digest = await in_daemon_thread(partial(digest, artefact), f"compare {entry.name}")
            model = await self._make(artefact, self.settings)
            while model.run_terms != self.settings.run_terms(entry.name):  # they were replaced meanwhile
                await model.close()
                model = await self._make(artefact, self.settings)
            model.adopt(self.settings)
            most_bytes = self.settings.max_loaded_bytes
            if 0 < most_bytes < model.memory_bytes and not self.settings.is_pinned(entry.name):
                await model.close()
                raise ModelRefused("size", f"it takes {model.memory_bytes} bytes, max_loaded_bytes is {most_bytes}")
            return model
        except TimeoutError as error:
            raise self._too_slow() from error
        finally:
            if entry.load is None:
                # It was cancelled in the turn of the event loop in which it ends. The error itself comes a turn later.
                raise asyncio.CancelledError

    async def _is_agreed(self, entry: Entry, model: LiveModel, agreement: Agreement) -> bool:
        """Wait until every worker has the version. False if it must be loaded again before that."""

        def arm(is_switched: Callable[[], bool] | None) -> None:
            entry.model = None if is_switched is None else model
            self._arm(entry, is_switched)

        try:
            await agreement.loaded(entry.name, entry.version, entry.digest, arm)
        except LoadAgain:
            await self._closing.discard(model, "it is loaded with other settings")
            return False
        except BaseException:
            if entry.model is not model:  # an armed one is closed with its entry
                await self._closing.discard(model, "the workers do not take it")
            raise
        return True

    async def _make(self, artefact: Artefact, settings: Settings) -> LiveModel:
        """Open a version that was read, and warm it up."""
        name, version, halt = artefact.manifest.name, artefact.manifest.version, Halt()
        read_file = partial(self._source.read_file, name, version)
        try:
            async with asyncio.timeout(settings.max_load_seconds):
                opening = partial(load, artefact, settings, self._metrics, halt, read_file, self._turns, self._quotas)
                return await in_daemon_thread(opening, f"load {name}/{version}")
        finally:
            halt.set()  # otherwise a run that hangs would keep a core busy for ever

    def _too_slow(self) -> ModelRefused:
        seconds = self.settings.max_load_seconds
        return ModelRefused("slow", f"it did not load within {seconds:g} s; wanted less, or a larger max_load_seconds")

    def _accept(self, entry: Entry, model: LiveModel, seconds: float) -> None:
        model.report()
        entry.model, entry.state, entry.reason, entry.refusal = model, State.READY, "", None
        self._metrics.model_loaded(entry.name, seconds)
        self._metrics.model_ready(entry.name, entry.version, ready=True, owner=model)
        where = "on the event loop" if model.batcher.inline else "in a thread"
        _log.info("model %s version %d ready after %.3f s, runs %s", entry.name, entry.version, seconds, where)

    def _refuse(self, entry: Entry, refused: ModelRefused) -> None:
        kind = "resources" if lacks_resources(refused) else refused.kind
        if self._agreement is not None and kind != OTHER_WORKER:
            self._agreement.refused(entry.name, entry.version, str(refused))
        entry.state, entry.reason = State.REFUSED, str(refused)
        entry.refusal = refusal(kind, time.monotonic(), entry.fingerprint, entry.refusal)
        self._metrics.model_refused(entry.name, entry.version, kind)
        how = "it is tried again" if self.settings.poll_seconds else "RepositoryModelLoad tries it again"
        again = "" if entry.refusal.retry_at is None else f"; {how}"
        _log.error("model %s version %d refused: %s%s", entry.name, entry.version, refused, again)
