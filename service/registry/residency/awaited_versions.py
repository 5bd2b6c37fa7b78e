"""Requests for versions that are not loaded yet, but may be in the repository already."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection

from service.errors import Draining, ModelNotReady, RepositoryUnreadable, StartupError
from service.registry.change_signal import ChangeSignal
from service.registry.entries import Entries
from service.registry.loader import Loader
from service.registry.naming import quote_name
from service.registry.residency.residency import Residency
from service.registry.scanning.listing import Listing
from service.registry.scanning.shared_scan import SharedScan
from service.repository.disk import model_name
from service.settings import Settings

# Longest wait of a call for a version that is being loaded: without a deadline in seconds, with a deadline as a part of
# the remaining time. The caller needs the rest to ask another replica.
_WAIT_SECONDS, _WAIT_PART = 5.0, 0.8
# One in this many of max_calls may wait for a version: each takes the place of another call.
_WAITING_SHARE = 8
# A cold version whose load finds no room, since all others are in use, is tried again after this.
_ROOM_SECONDS = 0.02


class AwaitedVersions:
    """Scans the repository for such a version, has it loaded and waits for it. Used on one event loop.

    Args:
        entries: The versions that were tried.
        listing: The versions in the repository.
        loader: Loads a version that no scan has loaded.
        residency: Loads cold versions.
        scan: Scans the repository.
        changes: Signals the end of each load, and the start of a drain.
        unloaded: Models that were unloaded. Their versions are not loaded here.
        settings: How many calls may be open, and whether the server scans.
    """

    def __init__(
        self,
        entries: Entries,
        listing: Listing,
        loader: Loader,
        residency: Residency,
        scan: Callable[[], Awaitable[None]],
        changes: ChangeSignal,
        unloaded: Collection[str],
        settings: Settings,
    ) -> None:
        self._entries = entries
        self._listing = listing
        self._loader = loader
        self._residency = residency
        self._shared_scan = SharedScan(scan)
        self._changes = changes
        self._unloaded = unloaded
        self._polls = settings.poll_seconds > 0
        self._most_waiting = max(1, settings.max_calls // _WAITING_SHARE)
        self._waiting = 0

    async def wait_for(self, name: str, version: int | None, deadline: float | None) -> bool:
        """Wait for a version that is on its way (:attr:`service.registry.entries.Entries.wait_for`).

        Another replica may serve a version already that was published after the last scan here. So an unknown version
        makes this server scan the repository again, at most once a second.
        """
        if not self._may_come(name, version):
            return False
        seconds = _WAIT_SECONDS if deadline is None else _WAIT_PART * (deadline - time.monotonic())
        try:
            async with asyncio.timeout(seconds):
                await self._until_settled(name, version)
        except TimeoutError:
            which = "" if version is None else f" version {version}"
            raise ModelNotReady(
                f"model {quote_name(name)}{which} is not loaded after {seconds:.3g} s; another replica may have it"
            ) from None
        except StartupError as error:
            raise RepositoryUnreadable(str(error)) from error
        if self._entries.draining:
            raise Draining("the server is stopping and loads nothing new")
        return True

    def is_loading(self, name: str, version: int | None) -> bool:
        """Whether the version is being loaded; with None, whether any version of the model is."""
        entries = self._entries.of(name)
        wanted = entries.values() if version is None else [entries[version]] if version in entries else []
        return any(entry.load is not None for entry in wanted)

    async def until_loaded(self, name: str, version: int | None) -> None:
        """Have a version loaded if it is cold, and return when no load of it runs any more, or at a drain.

        Its model stays in memory until the caller gives up the event loop.

        Raises:
            Overloaded: Pinned models leave no room for it.
        """
        with self._residency.awaited(name):
            while True:
                await self._changes.until(lambda: self._entries.draining or not self.is_loading(name, version))
                entry = None if self._entries.draining else self._residency.cold(name, version)
                if entry is None:
                    return
                if not self._residency.load(entry):
                    await asyncio.sleep(_ROOM_SECONDS)

    async def close(self) -> None:
        """Cancel the scans."""
        await self._shared_scan.close()

    def _may_come(self, name: str, version: int | None) -> bool:
        """Whether a version that does not answer now may answer soon."""
        if not self._entries.complete or self._entries.draining or name in self._unloaded:
            return False
        if self.is_loading(name, version) or self._residency.cold(name, version) is not None:
            return True
        known = self._entries.of(name)
        unknown = not known if version is None else version not in known
        return unknown and self._polls and model_name(name) is not None

    async def _until_settled(self, name: str, version: int | None) -> None:
        """Scan the repository for a version, and return when its load is over or when there is none."""
        if self._waiting >= self._most_waiting:
            raise ModelNotReady(f"{self._waiting} callers wait for versions that are not loaded; try again later")
        self._waiting += 1
        try:
            if not self.is_loading(name, version) and self._residency.cold(name, version) is None:
                await self._shared_scan.run()
                self._load_passed_over(name, version)
            await self.until_loaded(name, version)
        finally:
            self._waiting -= 1

    def _load_passed_over(self, name: str, version: int | None) -> None:
        """Load a version that was published and superseded between two scans: another replica may have served it."""
        if version is None or version in self._entries.of(name) or name in self._unloaded:
            return
        if not self._listing.is_new(name, version):
            return
        wanted, _ = self._listing.wanted(name)
        if version in wanted:
            self._loader.start(self._entries.add(name, version))
