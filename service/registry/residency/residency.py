"""Loads cold versions within the bounds, and lets go of those whose last call is longest ago."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import Overloaded
from service.registry.entries import Entries, Entry
from service.registry.loader import Loader
from service.registry.naming import quote_name
from service.registry.succession.succession import Succession
from service.registry.version_status import State
from service.settings import Settings

_log = logging.getLogger(__name__)


class Residency:
    """The versions in memory. Used on one event loop. Without bounds it does nothing.

    A version is never let go while a lease of it is open, while a call waits for its model, or if its model is pinned.

    Args:
        entries: The versions.
        loader: Loads the cold ones. Its settings say which models are pinned.
        succession: Closes those that are let go.
        settings: Have the bounds.
    """

    def __init__(self, entries: Entries, loader: Loader, succession: Succession, settings: Settings) -> None:
        self._entries = entries
        self._loader = loader
        self._succession = succession
        self._is_bounded = settings.loads_on_call
        self._most_models, self._most_bytes = settings.max_loaded_models, settings.max_loaded_bytes
        self._loaded: set[tuple[str, int]] = set()
        self._awaited: Counter[str] = Counter()

    @contextmanager
    def awaited(self, name: str) -> Iterator[None]:
        """Keep the versions of a model in memory during the block: a call is about to use one."""
        self._awaited[name] += 1
        try:
            yield
        finally:
            self._awaited[name] -= 1
            if not self._awaited[name]:
                del self._awaited[name]

    def cold(self, name: str, version: int | None) -> Entry | None:
        """The version that a call needs, if a load must begin for it; with None the latest."""
        entry = self._entries.latest(name) if version is None else self._entries.of(name).get(version)
        return entry if entry is not None and entry.state is State.COLD and entry.load is None else None

    def load(self, entry: Entry) -> bool:
        """Begin to load a cold version, if there is room for it or others can make room.

        Returns:
            Whether the load began. If not, versions that are in use now may make room soon.

        Raises:
            Overloaded: Pinned models fill the bounds.
        """
        if not self._make_room(1, entry.memory_bytes, spared=entry):
            if all(self._is_pinned(each) for each in self._in_memory()) and not self._loader.loading:
                raise Overloaded(
                    f"model {quote_name(entry.name)} is not in memory, and pinned models leave no room for it "
                    f"({self._bounds()}); unpin a model, or raise the bound"
                )
            return False
        self._loader.start(entry)
        return True

    def note_load(self, entry: Entry) -> None:
        """Let others make room for a version whose load has ended. If they cannot, it is cold again."""
        if not self._is_bounded or entry.model is None:
            return
        entry.used_at = time.monotonic()
        self._loaded.add((entry.name, entry.version))
        entry.memory_bytes = entry.model.memory_bytes
        if not self._make_room(spared=entry) and not entry.users and not self._is_pinned(entry):
            _log.warning("model %s version %d finds no room (%s)", entry.name, entry.version, self._bounds())
            self._succession.let_go(entry)

    def trim(self) -> None:
        """Let go of what exceeds the bounds, for example because it was in use before."""
        if self._is_bounded:
            self._make_room()

    def _make_room(self, models: int = 0, memory_bytes: int = 0, spared: Entry | None = None) -> bool:
        """Let go of versions until the bounds hold with so much more. Returns whether they do."""
        while self._exceed(models, memory_bytes):
            idle = [each for each in self._in_memory() if each is not spared and self._is_idle(each)]
            if not idle:
                return False
            self._succession.let_go(min(idle, key=lambda each: each.used_at))
        return True

    def _exceed(self, models: int, memory_bytes: int) -> bool:
        held, loading = self._in_memory(), [each for each in self._loader.loading if each.model is None]
        models += len(held) + len(loading)
        memory_bytes += sum(each.model.memory_bytes for each in held if each.model is not None)
        memory_bytes += sum(each.memory_bytes for each in loading)
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

    def _is_idle(self, entry: Entry) -> bool:
        return not entry.users and entry.name not in self._awaited and not self._is_pinned(entry)

    def _is_pinned(self, entry: Entry) -> bool:
        return entry.state is State.READY and self._loader.settings.is_pinned(entry.name)

    def _bounds(self) -> str:
        bounds = {"max_loaded_models": self._most_models, "max_loaded_bytes": self._most_bytes}
        return ", ".join(f"{name} is {bound}" for name, bound in bounds.items() if bound)
