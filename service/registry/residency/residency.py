"""Loads cold versions within the bounds, and lets go of those whose last call is longest ago."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from heapq import heapify, heappop

from service.errors import Overloaded
from service.registry.change_signal import ChangeSignal
from service.registry.entries import Entries, Entry
from service.registry.loader import Loader
from service.registry.model.live_model import LiveModel
from service.registry.naming import quote_name
from service.registry.succession.succession import Succession
from service.registry.version_status import State
from service.settings import Settings

_log = logging.getLogger(__name__)

# The oldest of the calls that wait for room looks for it after pauses that grow: with 5,000 models in memory, one look
# takes 2 ms of the event loop.
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.01, 0.1
# A call that has found no room for so long lets those pass that need less. Before that, room for it can gather.
_ALONE_SECONDS = 1.0


class Residency:
    """The versions in memory. Used on one event loop. Without bounds it does nothing.

    A version is never let go while a lease of it is open, while a call waits for it, or if its model is pinned. One
    exception: if the first load of a version shows that there is no room for it, the calls that wait for it wait on for
    room, or get Overloaded.

    Args:
        entries: The versions.
        loader: Loads the cold ones. Its settings say which models are pinned.
        succession: Closes those that are let go.
        changes: Wakes the calls that wait.
        settings: Have the bounds.
    """

    def __init__(
        self, entries: Entries, loader: Loader, succession: Succession, changes: ChangeSignal, settings: Settings
    ) -> None:
        self._entries = entries
        self._loader = loader
        self._succession = succession
        self._changes = changes
        self._is_bounded = settings.loads_on_call
        self._most_models, self._most_bytes = settings.max_loaded_models, settings.max_loaded_bytes
        self._loaded: set[tuple[str, int]] = set()
        self._awaited: Counter[tuple[str, int | None]] = Counter()
        # For each of these versions one call waits for its turn, and for room, since that time in monotonic seconds.
        # The oldest is first. Other calls for the version do not stand in line: once it is in memory, they would keep
        # it there and wait for those before them.
        self._queued: dict[Entry, float] = {}

    @contextmanager
    def awaited(self, name: str, version: int | None) -> Iterator[None]:
        """Keep a version in memory during the block, since a call is about to use it; with None the latest."""
        key = name, version
        self._awaited[key] += 1
        try:
            yield
        finally:
            self._awaited[key] -= 1
            if not self._awaited[key]:
                del self._awaited[key]

    def cold(self, name: str, version: int | None) -> Entry | None:
        """The version that a call needs, if a load must begin for it; with None the latest."""
        entry = self._entries.served(name, version)
        return entry if entry is not None and self._waits_for_load(entry) else None

    async def load(self, entry: Entry) -> None:
        """Begin to load a cold version once there is room for it. If another call does that, wait for a change.

        Raises:
            Overloaded: Pinned models leave no room for it.
        """
        if entry in self._queued:
            await self._changes.wait()
            return
        self._queued[entry] = time.monotonic()
        try:
            await self._load_in_turn(entry)
        finally:
            del self._queued[entry]
            self._changes.notify()  # this call may have been cancelled: another one takes its place

    def admit(self, entry: Entry) -> None:
        """Let others make room for a version that was loaded. If they cannot, it is let go itself."""
        if not self._is_bounded or entry.model is None:
            return
        self._loaded.add((entry.name, entry.version))
        entry.memory_bytes = entry.model.memory_bytes
        is_pinned = self._is_pinned(entry)
        has_room = self._make_room(spared=entry, partly=is_pinned)
        if has_room or is_pinned or entry.model.leases or self._has_taken_over(entry):
            return
        _log.warning("model %s version %d finds no room (%s)", entry.name, entry.version, self._bounds())
        self._succession.let_go(entry)

    def trim(self) -> None:
        """Let go of what exceeds the bounds, for example because it was in use before."""
        if self._is_bounded:
            self._make_room(partly=True)

    async def _load_in_turn(self, entry: Entry) -> None:
        """Begin the load after the calls that came earlier have begun theirs, or before those that need more room."""
        if len(self._queued) > 1 or not self._begin(entry):
            self._check_pinned(entry)
        pause_seconds = _SHORTEST_PAUSE_SECONDS
        while self._waits_for_load(entry) and not self._entries.draining:
            if next(iter(self._queued)) is not entry:
                await self._changes.wait()
            elif not self._begin(entry):
                if time.monotonic() > self._queued[entry] + _ALONE_SECONDS:
                    self._let_pass(entry)
                await asyncio.sleep(pause_seconds)  # versions that are in use now may make room soon
                pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _begin(self, entry: Entry) -> bool:
        """Begin a load if there is room for it, and return whether there is."""
        has_room = self._make_room(1, entry.memory_bytes)
        if has_room:
            entry.held = False
            self._loader.start(entry)
            self._changes.notify()
        return has_room

    def _let_pass(self, first: Entry) -> None:
        """Begin loads that need less room than the first in the line, the smallest first, as long as there is room."""
        waiting = [entry for entry in self._queued if self._waits_for_load(entry)]
        for entry in sorted(waiting, key=lambda each: each.memory_bytes):
            if entry.memory_bytes >= first.memory_bytes or not self._begin(entry):
                return

    def _check_pinned(self, entry: Entry) -> None:
        """Check that there could be room for a version if no version but the pinned ones were in memory."""
        pinned = [each for each in self._in_memory() if self._is_pinned(each)]
        if self._exceeds(len(pinned) + 1, sum(map(_bytes_of, pinned)) + entry.memory_bytes):
            raise Overloaded(
                f"model {quote_name(entry.name)} is not in memory, and pinned models leave no room for it "
                f"({self._bounds()}); unpin a model, or raise the bound"
            )

    def _make_room(
        self, models: int = 0, memory_bytes: int = 0, spared: Entry | None = None, *, partly: bool = False
    ) -> bool:
        """Let go of versions until the bounds hold with so much more. Returns whether they do.

        If they cannot hold, nothing is let go in vain, unless `partly` is set.
        """
        held = self._in_memory()
        # A new version that will take over is not counted before it is loaded: the one that answers makes room then.
        loading = [each for each in self._loader.loading if each.state is State.COLD]
        models += len(held) + len(loading)
        memory_bytes += sum(map(_bytes_of, held)) + sum(each.memory_bytes for each in loading)
        if not self._exceeds(models, memory_bytes):
            return True
        oldest = [
            (each.model.used_at, number)
            for number, each in enumerate(held)
            if each is not spared and each.model is not None and self._idle(each, each.model)
        ]
        heapify(oldest)
        chosen: list[Entry] = []
        while oldest and self._exceeds(models, memory_bytes):
            chosen.append(held[heappop(oldest)[1]])
            models -= 1
            memory_bytes -= _bytes_of(chosen[-1])
        holds = not self._exceeds(models, memory_bytes)
        for each in chosen if holds or partly else ():
            self._succession.let_go(each)
        return holds

    def _exceeds(self, models: int, memory_bytes: int) -> bool:
        return 0 < self._most_models < models or 0 < self._most_bytes < memory_bytes

    def _in_memory(self) -> list[Entry]:
        found: list[Entry] = []
        for name, version in list(self._loaded):
            entry = self._entries.of(name).get(version)
            if entry is None or entry.model is None:
                self._loaded.discard((name, version))
            else:
                found.append(entry)
        return found

    def _waits_for_load(self, entry: Entry) -> bool:
        """Whether a version is cold, known, and not being loaded."""
        is_known = self._entries.of(entry.name).get(entry.version) is entry
        return is_known and entry.state is State.COLD and entry.load is None

    def _idle(self, entry: Entry, model: LiveModel) -> bool:
        """Whether nobody uses a version or waits for it, and its model is not pinned."""
        is_awaited = (entry.name, entry.version) in self._awaited or (
            (entry.name, None) in self._awaited and entry is self._entries.latest(entry.name)
        )
        return not model.leases and not is_awaited and not self._is_pinned(entry)

    def _is_pinned(self, entry: Entry) -> bool:
        return entry.state is State.READY and self._loader.settings.is_pinned(entry.name)

    def _has_taken_over(self, entry: Entry) -> bool:
        """Whether a version has superseded one that is still in memory, which makes room soon."""
        return any(each.state is State.LINGERING for each in self._entries.of(entry.name).values())

    def _bounds(self) -> str:
        bounds = {"max_loaded_models": self._most_models, "max_loaded_bytes": self._most_bytes}
        return ", ".join(f"{name} is {bound}" for name, bound in bounds.items() if bound)


def _bytes_of(entry: Entry) -> int:
    return 0 if entry.model is None else entry.model.memory_bytes
