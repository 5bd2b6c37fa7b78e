"""Models that callers load and unload by name (RepositoryModelLoad, RepositoryModelUnload)."""

import asyncio
import time
from collections.abc import Callable

from service.errors import Draining, ModelNotFound, ModelNotReady
from service.registry.entries import Entries
from service.registry.naming import quote_name
from service.registry.residency.awaited_versions import AwaitedVersions
from service.registry.scanning.listing import Listing
from service.registry.succession.succession import Succession
from service.registry.version_status import State
from service.repository.source import Source


class RequestedLoads:
    """Loads and unloads models for callers. Used on one event loop.

    Args:
        entries: The versions.
        listing: The versions in the repository.
        source: Has their files.
        awaited: Waits for loads.
        succession: Retires versions.
        scanning: Held during a scan.
        unloaded: The models that were unloaded. This class changes them.
        settle: Loads and retires the versions of a model as its policy asks for.
        changed: Is called after a change in the versions that answer.
    """

    def __init__(
        self,
        entries: Entries,
        listing: Listing,
        source: Source,
        awaited: AwaitedVersions,
        succession: Succession,
        scanning: asyncio.Lock,
        unloaded: set[str],
        settle: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._entries = entries
        self._listing = listing
        self._source = source
        self._awaited = awaited
        self._succession = succession
        self._scanning = scanning
        self._unloaded = unloaded
        self._settle = settle
        self._changed = changed

    async def load(self, name: str) -> None:
        """Load one model now, and wait for it. Unloaded models and refused versions are tried again.

        Raises:
            ModelNotFound: The repository has no version of it that the policy allows.
            ModelNotReady: None of its versions can be served. The message has the reason of the newest one.
            Overloaded: Pinned models fill the bounds on models in memory.
            StartupError: The repository cannot be read.
        """
        async with self._scanning:
            self._listing.update(await self._source.list_models(), time.monotonic())
            descending, _ = self._listing.wanted(name)
            if not descending:
                raise ModelNotFound(f"the repository has no version of model {quote_name(name)} to load")
            self._unloaded.discard(name)
            for entry in self._entries.of(name).values():
                entry.held = False
                entry.due = entry.state is State.REFUSED
            self._settle(name)
        await self._awaited.until_loaded(name)
        if self._entries.draining:
            raise Draining("the server is stopping and loads nothing new")
        latest = self._entries.latest(name)
        answers = latest is not None and latest.model is not None
        async with self._scanning:
            await self._source.mark_used(self._entries.ready())
        if not answers:
            newest = self._entries.of(name).get(descending[0])
            reason = "it was unloaded meanwhile" if newest is None else newest.unready_reason()
            raise ModelNotReady(f"model {name!r} version {descending[0]} does not answer: {reason}")

    async def unload(self, name: str) -> None:
        """Stop to serve a model until it is loaded again. Requests that have its lease are still answered.

        Raises:
            ModelNotFound: No version of it is known.
        """
        self._entries.find(name, None, complete=True)
        self._unloaded.add(name)
        for entry in list(self._entries.of(name).values()):
            self._succession.retire(entry)
        self._changed()
