"""Name and version -> live model: loading, leases, readiness."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from kan_api.v1.manifest_pb2 import ModelManifest
from service import repository
from service.errors import ModelNotFound, ModelNotReady
from service.metrics import Metrics
from service.model import LiveModel, load, provider_in_use
from service.repository import Artefact, ModelRefused
from service.settings import Settings

_log = logging.getLogger(__name__)

# Enough to see a slip of the pen, few enough for a status message.
_NAMES_SHOWN = 20


class State(StrEnum):
    """Where a version stands."""

    LOADING = "loading"
    READY = "ready"
    REFUSED = "refused"


@dataclass(frozen=True)
class Status:
    """What is known of one version.

    Attributes:
        reason: Why it does not answer; "" where it does.
        latest: True for the version that answers when none is named.
        manifest: None until it was read and verified.
    """

    name: str
    version: int
    state: State
    reason: str
    latest: bool
    manifest: ModelManifest | None


@dataclass(eq=False)
class _Entry:
    """One version that was tried, and how many use its model now."""

    name: str
    version: int
    state: State = State.LOADING
    reason: str = ""
    manifest: ModelManifest | None = None
    model: LiveModel | None = None
    users: int = 0

    def unready_reason(self) -> str:
        """Why it does not answer; "" where it does."""
        if self.model is None:
            return f"it was refused: {self.reason}" if self.state is State.REFUSED else "it is loading"
        return "" if self.model.batcher.alive else "its batcher broke"


class Registry:
    """The models of one server. Lives on one event loop; only `unready_reason` and `ready` are for any thread.

    Args:
        settings: Where the repository is, and how models run.
        metrics: Told of loads, refusals and readiness.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._entries: dict[str, dict[int, _Entry]] = {}
        self._loaded = False
        self._draining = False

    async def load_all(self) -> None:
        """Load the newest version of each model; where it is refused, the newest that is not.

        Raises:
            StartupError: The repository's folder cannot be read, or CUDA is asked for and absent.
        """
        provider_in_use(self._settings)
        versions: dict[str, list[int]] = {}
        for name, version in await asyncio.to_thread(repository.list_models, self._settings.models):
            versions.setdefault(name, []).append(version)
        for name, numbers in versions.items():
            self._entry(name, numbers[-1])
        for name, numbers in versions.items():
            for version in reversed(numbers):
                if await self._load(self._entry(name, version)):
                    break
        self._loaded = True

    @contextmanager
    def lease(self, name: str, version: int | None = None) -> Iterator[LiveModel]:
        """A model to use for the length of a with block; it is not swapped away meanwhile.

        Args:
            name: The model.
            version: None for the latest that is ready.

        Raises:
            ModelNotFound: No such model or version is served; the message lists what is.
            ModelNotReady: It is loading, was refused, or its batcher broke.
        """
        entry = self._find(name, version)
        reason = entry.unready_reason()
        if entry.model is None or reason:
            raise ModelNotReady(f"model {name!r} version {entry.version} does not answer: {reason}")
        entry.users += 1
        try:
            yield entry.model
        finally:
            entry.users -= 1

    def statuses(self) -> list[Status]:
        """Every version that was tried, by name and version."""
        return [
            Status(
                name=name,
                version=version,
                state=State.REFUSED if entry.model and entry.unready_reason() else entry.state,
                reason=entry.reason or (entry.unready_reason() if entry.model else ""),
                latest=entry is self._latest(name),
                manifest=entry.manifest,
            )
            for name, entries in sorted(self._entries.items())
            for version, entry in sorted(entries.items())
        ]

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
            return "models are loading"
        served = [entry for entries in list(self._entries.values()) for entry in list(entries.values()) if entry.model]
        for entry in served:
            if reason := entry.unready_reason():
                return f"model {entry.name!r} version {entry.version} does not answer: {reason}"
        return "" if served else "no model is ready"

    async def drain(self) -> None:
        """Turn readiness off, refuse new rows, and wait until every accepted row is answered."""
        self._draining = True
        models = self._models()
        for model in models:
            self._metrics.model_ready(model.name, model.version, ready=False)
        await asyncio.gather(*(model.batcher.drain() for model in models))

    async def close(self) -> None:
        """Close every model; rows that still wait fail with Draining."""
        self._draining = True
        await asyncio.gather(*(model.close() for model in self._models()))

    def _models(self) -> list[LiveModel]:
        """Every model that was loaded."""
        return [entry.model for entries in self._entries.values() for entry in entries.values() if entry.model]

    def _entry(self, name: str, version: int) -> _Entry:
        """The entry of a version, made when it is new."""
        return self._entries.setdefault(name, {}).setdefault(version, _Entry(name, version))

    async def _load(self, entry: _Entry) -> bool:
        """Try one version; True when it answers."""
        began = time.monotonic()
        try:
            artefact = await asyncio.to_thread(
                repository.read_version, self._settings.models, entry.name, entry.version
            )
            entry.manifest = artefact.manifest
            entry.model = await asyncio.to_thread(self._open, artefact)
        except ModelRefused as error:
            entry.state, entry.reason = State.REFUSED, str(error)
            self._metrics.model_refused(entry.name, entry.version, error.kind)
            _log.error("model %s version %d refused: %s", entry.name, entry.version, error)
            return False
        seconds = time.monotonic() - began
        entry.state = State.READY
        self._metrics.model_loaded(entry.name, seconds)
        self._metrics.model_ready(entry.name, entry.version, ready=True)
        where = "on the event loop" if entry.model.inline else "in a thread"
        _log.info("model %s version %d ready after %.3f s, runs %s", entry.name, entry.version, seconds, where)
        return True

    def _open(self, artefact: Artefact) -> LiveModel:
        return load(artefact, self._settings, self._metrics)

    def _latest(self, name: str) -> _Entry | None:
        """The version that answers when none is named; None where none is ready."""
        ready = [entry for entry in self._entries[name].values() if entry.state is State.READY]
        return max(ready, key=lambda entry: entry.version, default=None)

    def _find(self, name: str, version: int | None) -> _Entry:
        """The entry for a request; the newest one, ready or not, where none is named and none is ready."""
        entries = self._entries.get(name)
        if entries is None:
            raise ModelNotFound(f"model {_shown(name)} is unknown; there is {_listed(sorted(self._entries))}")
        if version is None:
            return self._latest(name) or entries[max(entries)]
        if version not in entries:
            raise ModelNotFound(f"model {name!r} has no version {version} here; there is {_listed(sorted(entries))}")
        return entries[version]


def _listed(items: list[str] | list[int]) -> str:
    """Names or versions in a message."""
    more = f" and {len(items) - _NAMES_SHOWN} more" if len(items) > _NAMES_SHOWN else ""
    return ", ".join(map(str, items[:_NAMES_SHOWN])) + more if items else "none"


def _shown(name: str) -> str:
    """A caller's name, cut to a length that fits a message."""
    return repr(name if len(name) <= 80 else name[:80] + "…")
