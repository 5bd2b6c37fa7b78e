"""Every version that was tried, and which version of a model is the latest."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from kan_api.v1.manifest_pb2 import ModelManifest
from service.access.authorizer import ANYBODY, Caller
from service.errors import ModelNotFound, ModelNotReady
from service.quota.bucket import TokenBucket
from service.registry.model.live_model import LiveModel
from service.registry.naming import join_some, quote_name
from service.registry.refusal import Refusal
from service.registry.version_status import SERVED, State


@dataclass(eq=False, slots=True)
class Entry:
    """One version that was tried.

    Attributes:
        load: The task that loads it now; None if there is none.
        slow: Whether that load takes so long that the server waits for it no longer.
        digest: Of the bytes that were loaded last, if several workers compare them.
        held: Whether the files could not be read or are absent. Then it is not loaded before the next scan.
        fingerprint: Of its files when they were last read, or when the log told of a change; None before that.
        refusal: Why and when it was refused; None if it was not refused, or if its files have changed since.
        due: Whether it was refused and should be tried again.
        memory_bytes: What it took when it was loaded last; 0 before that, or if nobody asks for it.
        quota: Of the model that was let go: it is kept for the next one.
    """

    name: str
    version: int
    state: State = State.LOADING
    reason: str = ""
    manifest: ModelManifest | None = None
    model: LiveModel | None = None
    load: "asyncio.Task[None] | None" = None
    slow: bool = False
    digest: str = ""
    held: bool = False
    fingerprint: object = None
    refusal: Refusal | None = None
    due: bool = False
    memory_bytes: int = 0
    quota: TokenBucket | None = None

    def unready_reason(self) -> str:
        """Why it does not answer; "" if it answers."""
        if self.model is None:
            was_refused = self.state is State.REFUSED
            return f"it was refused: {self.reason}" if was_refused else self.reason or "it is loading"
        return "" if self.model.batcher.alive else "its batcher broke"


class Lease:
    """A model for one with block, which is entered at once: the model is not closed before the end of the block."""

    __slots__ = ("_model",)

    def __init__(self, model: LiveModel) -> None:
        self._model = model

    def __enter__(self) -> LiveModel:
        self._model.leases += 1
        self._model.used_at = time.monotonic()
        return self._model

    def __exit__(self, *_: object) -> None:
        self._model.leases -= 1
        if not self._model.leases:
            self._model.unused.set()


async def _come_never(_name: str, _version: int | None, _deadline: float | None) -> bool:
    return False


class Entries:
    """Entries by model and version. Used on one event loop. They may be changed during an iteration.

    Attributes:
        draining: Whether the server is stopping: no version is loaded any more.
        complete: False while models are loading: an unknown version may still come.
        wait_for: Waits for a version that does not answer but is on its way; returns whether there was one. Takes the
            arguments of `lease_or_wait` and raises its errors.
        why_unserved: Says why no version of a model may be served although the repository has some; "" if it has none.
    """

    def __init__(self) -> None:
        self.complete = self.draining = False
        self.wait_for: Callable[[str, int | None, float | None], Awaitable[bool]] = _come_never
        self.why_unserved: Callable[[str], str] = lambda _name: ""
        self._by_name: dict[str, dict[int, Entry]] = {}
        self._latest: dict[str, Entry] = {}  # models without a ready version are absent
        self._armed: dict[str, tuple[int, Callable[[], bool]]] = {}  # by model, a version
        self._known_names = ""  # as messages list them; "" after a change, as thousands are not sorted at each call

    def __iter__(self) -> Iterator[Entry]:
        """All entries at this moment."""
        # Ten thousand are listed in less than 1 ms of the event loop; a comprehension takes 2 ms.
        return iter(list(chain.from_iterable(map(dict.values, self._by_name.values()))))

    def names(self) -> list[str]:
        """The models with at least one version that was tried."""
        return list(self._by_name)

    def of(self, name: str) -> Mapping[int, Entry]:
        """A model's entries, by version."""
        return self._by_name.get(name) or {}

    def latest(self, name: str) -> Entry | None:
        """The version that answers requests without a version number; None if none is ready."""
        return self._latest.get(name)

    def answering(self, name: str) -> Entry | None:
        """What a call without a version number gets now: the latest version, or an armed one after its switch."""
        if name in self._armed and self._armed[name][1]():
            return self._by_name[name][self._armed[name][0]]
        return self._latest.get(name)

    def served(self, name: str, version: int | None) -> Entry | None:
        """A version, or with None the latest; None if there is none."""
        return self.latest(name) if version is None else self.of(name).get(version)

    def add(self, name: str, version: int) -> Entry:
        """The entry of a version; a new one if there is none."""
        entries = self._by_name.setdefault(name, {})
        found = entries.get(version)
        if found is None:
            found = entries[version] = Entry(name, version)
            self._known_names = ""
        return found

    def remove(self, entry: Entry) -> None:
        """Forget a version."""
        entries = self._by_name[entry.name]
        del entries[entry.version]
        if not entries:
            del self._by_name[entry.name]
            self._known_names = ""
        self.choose_latest(entry.name)

    def replace(self, entry: Entry, **changed: Any) -> None:
        """Put an entry with these changes in the place of one that answers."""
        self._by_name[entry.name][entry.version] = replace(entry, **changed)
        self.choose_latest(entry.name)

    def choose_latest(self, name: str) -> None:
        """Choose the latest version again. Call it after a version became ready or stopped to be."""
        ready = [version for version, entry in self.of(name).items() if entry.state in SERVED]
        self._latest.pop(name, None)
        if ready:
            self._latest[name] = self.of(name)[max(ready)]
        if name in self._armed:
            armed = self.of(name).get(self._armed[name][0])
            if armed is None or armed.state is State.REFUSED or self._latest.get(name) is armed:
                del self._armed[name]

    def arm(self, entry: Entry, is_switched: Callable[[], bool] | None) -> None:
        """Let a version take over once `is_switched` gives True, as all workers do at one moment; None disarms it."""
        if is_switched is None:
            self._armed.pop(entry.name, None)
            return
        if (answering := self.answering(entry.name)) is not None:
            self._latest[entry.name] = answering  # one that has just taken over may not be ready yet
        self._armed[entry.name] = (entry.version, is_switched)

    def ready(self) -> set[tuple[str, int]]:
        """(name, version) of the versions that answer and stay, cold ones too, but not lingering ones."""
        return {(entry.name, entry.version) for entry in self if entry.state in SERVED}

    def lease(self, name: str, version: int | None = None) -> Lease:
        """A lease of a model for one with block, which must be entered at once. The model is not closed before its end.

        Args:
            name: The model.
            version: None for the latest that is ready.

        Raises:
            ModelNotFound: There is no such model or version. The message lists the known ones.
            ModelNotReady: It is loading, was refused, or its batcher broke.
        """
        entry = self.find(name, version, complete=self.complete)
        reason = entry.unready_reason()
        if self._armed and version is None and self.answering(name) is None:
            reason = reason or "other workers are not ready for it yet"
        if reason or entry.model is None:
            raise ModelNotReady(f"model {name!r} version {entry.version} does not answer: {reason}")
        return Lease(entry.model)

    async def lease_or_wait(
        self, name: str, version: int | None = None, deadline: float | None = None, caller: Caller = ANYBODY
    ) -> Lease:
        """A lease as :meth:`lease` gives it, after a wait if the version is not loaded yet.

        Args:
            name: The model.
            version: None for the latest that is ready.
            deadline: Of the call, in monotonic seconds. The wait takes at most 80 % of the remaining time; without a
                deadline at most 5 s.
            caller: Asks for it.

        Raises:
            Forbidden: The caller may not use the model, whether there is one or not.
            ModelNotFound: The repository has no such model or version, or none that the policy allows.
            ModelNotReady: The version was not loaded in time, was refused, or its batcher broke.
        """
        if caller.token is not None:
            caller.check_model(name)
        try:
            return self.lease(name, version)
        except (ModelNotFound, ModelNotReady):
            if not await self.wait_for(name, version, deadline):
                raise
        return self.lease(name, version)

    def find(self, name: str, version: int | None, *, complete: bool) -> Entry:
        """The entry for a request.

        Args:
            name: The model.
            version: None for the latest. If none is ready, the newest version is given.
            complete: Whether all models have been tried. While they are loading, an unknown model may appear soon.

        Raises:
            ModelNotFound: There is no such model or version. The message lists the known ones.
            ModelNotReady: There is no such model, but models are still loading.
        """
        if version is None and (entry := self.answering(name) if self._armed else self._latest.get(name)) is not None:
            return entry
        entries = self.of(name)
        if not entries:
            if not complete:
                # Clients retry a ModelNotReady. They do not retry a ModelNotFound.
                raise ModelNotReady(f"model {quote_name(name)} does not answer: models are loading")
            if why := self.why_unserved(name):
                raise ModelNotFound(f"model {quote_name(name)} does not answer: {why}")
            self._known_names = self._known_names or join_some(sorted(self._by_name))
            raise ModelNotFound(f"model {quote_name(name)} is unknown; there is {self._known_names}")
        if version is None:
            return entries[max(entries)]
        if version not in entries:
            raise ModelNotFound(f"model {name!r} has no version {version} here; there is {join_some(sorted(entries))}")
        return entries[version]
