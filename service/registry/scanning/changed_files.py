"""Warns of a version that answers and whose files have changed since they were read: a restart may refuse them."""

import asyncio
import logging

from service.registry.entries import Entries, Entry
from service.repository.source import Source

_log = logging.getLogger(__name__)

# Versions that one scan looks at, in turn. It takes 3 ms of processor time; to list ten thousand folders takes 180 ms.
_AT_ONCE = 16


class ChangedFiles:
    """Looks at the files of versions that answer. Used on one event loop.

    Args:
        entries: The versions.
        source: Has their files.
    """

    def __init__(self, entries: Entries, source: Source) -> None:
        self._entries = entries
        self._source = source
        self._left: list[Entry] = []
        self._looking: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Begin to look at the next versions. The scan does not wait for it: a file system may hang at one of them."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="look for changed files")

    async def close(self) -> None:
        """Cancel the look."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        if not self._left:
            self._left = [entry for entry in self._entries if entry.model is not None]
        next_ones, self._left = self._left[:_AT_ONCE], self._left[_AT_ONCE:]
        as_read = [(entry, entry.fingerprint) for entry in next_ones if self._answers(entry)]
        found = await self._source.fingerprints([(entry.name, entry.version) for entry, _ in as_read])
        for entry, before in as_read:
            now = found[entry.name, entry.version]
            # A folder that is gone was withdrawn. A version that was read again meanwhile has another fingerprint.
            if _files(now) and _files(before) - _files(now) and entry.fingerprint is before and self._answers(entry):
                entry.fingerprint = now
                _log.warning(
                    "model %s version %d: its files have changed since they were read; it answers as before, but a "
                    "restart would read the changed ones: put them back, or publish a new version",
                    *(entry.name, entry.version),
                )

    def _answers(self, entry: Entry) -> bool:
        return entry.model is not None and self._entries.of(entry.name).get(entry.version) is entry


def _files(fingerprint: object) -> frozenset[object]:
    """The files of a fingerprint. Files that were added since then are no change of the others."""
    if isinstance(fingerprint, str):
        return frozenset(fingerprint.splitlines())
    return frozenset(fingerprint) if isinstance(fingerprint, tuple) else frozenset()
