"""Loads and unloads of models that callers ask for: here, or in every worker."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable

from service.errors import Draining, ModelNotFound, ModelNotReady
from service.registry.agreement import Agreement
from service.registry.entries import Entries
from service.registry.naming import quote_name
from service.registry.residency.awaited_versions import AwaitedVersions
from service.registry.scanning.listing import Listing
from service.registry.succession.succession import Succession
from service.registry.version_status import State
from service.repository.disk import model_name
from service.repository.source import Source

_log = logging.getLogger(__name__)

_UNLOADED, _BY_CALLER = "it was unloaded meanwhile", "a caller has unloaded it"


class RequestedLoads:
    """Loads and unloads models. Used on one event loop.

    Args:
        entries: The versions.
        source: Has the files.
        listing: The versions in the repository.
        scanning: Held by each scan of the repository.
        unloaded: Models that stay unloaded. This class changes it.
        awaited: Waits for loads.
        succession: Retires versions.
        settle: Loads the wanted versions of a model.
        changed: Is called when a model was unloaded.
        agreement: Reaches the other workers; None if this process is the only one.
    """

    def __init__(
        self,
        entries: Entries,
        source: Source,
        listing: Listing,
        scanning: asyncio.Lock,
        unloaded: set[str],
        awaited: AwaitedVersions,
        succession: Succession,
        settle: Callable[[str], None],
        changed: Callable[[], None],
        agreement: Agreement | None,
    ) -> None:
        self._entries = entries
        self._source = source
        self._listing = listing
        self._scanning = scanning
        self._unloaded = unloaded
        self._awaited = awaited
        self._succession = succession
        self._settle = settle
        self._changed = changed
        self._agreement = agreement
        # By model, how often it was unloaded. An unload does not wait for a load that lists the repository, since that
        # may hang. The load finds after its list that an unload came meanwhile, and gives way to it.
        self._unloads: Counter[str] = Counter()

    async def load(self, name: str) -> None:
        """Load one model now, in every worker, and wait for it. Unloaded models and refused versions are tried again.

        Raises:
            ModelNotFound: The repository has no version of it that the policy allows.
            ModelNotReady: None of its versions can be served. The message has the reason of the newest one.
            Overloaded: Pinned models fill the bounds on models in memory.
            StartupError: The repository cannot be read.
        """
        if self._agreement is None:
            await self.load_here(name)
        elif model_name(name) is None:  # no folder has such a name, which may be as long as a message
            raise _not_found(name)
        else:
            await self._agreement.load(name)

    async def unload(self, name: str) -> None:
        """Stop to serve a model in every worker until it is loaded again. Requests with its lease are still answered.

        Raises:
            ModelNotFound: No version of it is known.
        """
        self._entries.find(name, None, complete=True)
        if self._agreement is None:
            await self.unload_here(name)
        else:
            await self._agreement.unload(name)

    def is_unloaded(self, name: str) -> bool:
        """Whether a model is unloaded here, and stays so."""
        return name in self._unloaded

    async def load_here(self, name: str) -> None:
        """As `load`, in this process."""
        unloads = self._unloads[name]
        async with self._scanning:
            self._listing.update(await self._source.list_models(), time.monotonic())
            descending, _ = self._listing.wanted(name)
            if not descending:
                raise _not_found(name)
            if self._unloads[name] != unloads:
                raise _not_ready(name, descending[0], _UNLOADED)
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
            await self._source.mark_used(self._entries.ready)
        if not answers:
            newest = self._entries.of(name).get(descending[0])
            raise _not_ready(name, descending[0], _UNLOADED if newest is None else newest.unready_reason())

    async def unload_here(self, name: str) -> None:
        """As `unload`, in this process, whether a version is known or not."""
        self._unloads[name] += 1
        self._unloaded.add(name)
        for entry in list(self._entries.of(name).values()):
            self._succession.retire(entry, _BY_CALLER)
        _log.info("model %s does not answer any more: %s; RepositoryModelLoad brings it back", name, _BY_CALLER)
        self._changed()


def _not_found(name: str) -> ModelNotFound:
    return ModelNotFound(f"the repository has no version of model {quote_name(name)} to load")


def _not_ready(name: str, version: int, reason: str) -> ModelNotReady:
    return ModelNotReady(f"model {name!r} version {version} does not answer: {reason}")
