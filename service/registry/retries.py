"""Marks refused versions for another try: after their files have changed, or after a pause if resources were short.

A version that is refused because of another worker is tried again once that worker has loaded it, or has ended.
"""

import asyncio
import time
from collections.abc import Collection, Sequence

from service.registry.agreement import OTHER_WORKER, Agreement
from service.registry.entries import Entries, Entry
from service.registry.version_status import State
from service.repository.source import Source

# Longest wait of a scan for the check: a file system may hang at one of the files.
_PATIENCE_SECONDS = 1.0


class Retries:
    """Checks the refused versions. Used on one event loop.

    Args:
        entries: The versions.
        source: Has their files.
        agreement: Tells of other workers; None if this process is the only one.
    """

    def __init__(self, entries: Entries, source: Source, agreement: Agreement | None = None) -> None:
        self._entries = entries
        self._source = source
        self._checking: asyncio.Task[None] | None = None
        if agreement is not None:
            agreement.on_new_try(self._try_too)

    async def check(self) -> None:
        """Check the refused versions, older refusals less often. Set `due` on each version to try again."""
        if self._checking is None or self._checking.done():
            due = self._due(time.monotonic())
            if not due:
                return
            self._checking = asyncio.create_task(self._check(due), name="check refused versions")
        await asyncio.wait({self._checking}, timeout=_PATIENCE_SECONDS)

    def compare_again(self, changed: Collection[str]) -> None:
        """Try incompatible versions again if the versions of their model have changed."""
        for entry in (entry for name in changed for entry in self._entries.of(name).values()):
            if entry.refusal is not None and entry.refusal.kind == "incompatible":
                entry.due = True

    async def close(self) -> None:
        """Cancel the check."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)

    def _try_too(self, name: str, version: int) -> None:
        """Try a version at the next scan, if it is refused because of another worker, which has loaded it now.

        A version that is tried already keeps its refusal meanwhile. Once it answers, nothing would take the mark off.
        """
        entry = self._entries.of(name).get(version)
        if entry is None or entry.state is not State.REFUSED or entry.refusal is None:
            return
        if entry.refusal.kind == OTHER_WORKER:
            entry.due = True

    def _due(self, now: float) -> list[Entry]:
        refused = [(entry, entry.refusal) for entry in self._entries if entry.state is State.REFUSED]
        return [entry for entry, each in refused if each and (each.retry_due(now) or each.check_due(now, len(refused)))]

    async def _check(self, due: Sequence[Entry]) -> None:
        fingerprints = await self._source.fingerprints([(entry.name, entry.version) for entry in due])
        now = time.monotonic()
        for entry in due:
            refusal = entry.refusal
            if refusal is None or entry.state is not State.REFUSED:
                continue
            if fingerprints[entry.name, entry.version] != refusal.fingerprint:
                entry.refusal, entry.due = None, True
            elif refusal.retry_due(now):
                entry.due = True
            else:
                entry.refusal = refusal.checked(now)
