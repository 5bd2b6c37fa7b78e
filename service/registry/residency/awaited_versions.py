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
# One in this many of max_calls may wait for a load, and as many for a scan: each takes the place of another call.
_WAITING_SHARE = 8
_STOPPING = "the server is stopping and loads nothing new"


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
        self._room_seconds = settings.max_load_seconds
        most = max(1, settings.max_calls // _WAITING_SHARE)
        # Apart, so that calls with unknown names keep no call from a version that is known.
        self._for_scans, self._for_loads = _Waiters(most), _Waiters(most)

    async def wait_for(self, name: str, version: int | None, deadline: float | None) -> bool:
        """Wait for a version that is on its way (:attr:`service.registry.entries.Entries.wait_for`).

        Another replica may serve a version already that was published after the last scan here. So an unknown version
        makes this server scan the repository again, at most once a second.
        """
        if self._entries.draining and self._residency.cold(name, version) is not None:
            raise Draining(_STOPPING)
        if not self._may_come(name, version):
            return False
        seconds = _WAIT_SECONDS if deadline is None else _WAIT_PART * (deadline - time.monotonic())
        try:
            async with asyncio.timeout(seconds):
                await self._until_answered(name, version)
        except TimeoutError:
            which = "" if version is None else f" version {version}"
            raise ModelNotReady(
                f"model {quote_name(name)}{which} is not loaded after {seconds:.3g} s; another replica may have it"
            ) from None
        except StartupError as error:
            raise RepositoryUnreadable(str(error)) from error
        if self._entries.draining:
            raise Draining(_STOPPING)
        return True

    async def until_loaded(self, name: str) -> None:
        """Have the latest version of a model loaded if it is cold, and return when no load of the model runs any more.

        It also returns at a drain, and if a version cannot be read.

        Raises:
            ModelNotReady: Models that are in use left no room for it within `max_load_seconds`.
            Overloaded: Pinned models leave no room for it.
        """
        try:
            await self._load_until(name, None, lambda: False, self._room_seconds)
        except TimeoutError:
            raise ModelNotReady(
                f"model {quote_name(name)} found no room within {self._room_seconds:g} s: models in memory are in use; "
                "load it again later, or raise the bounds on models in memory"
            ) from None

    async def close(self) -> None:
        """Cancel the scans."""
        await self._shared_scan.close()

    def _may_come(self, name: str, version: int | None) -> bool:
        """Whether a version that does not answer now may answer soon."""
        if not self._entries.complete or self._entries.draining or name in self._unloaded:
            return False
        if self._is_coming(name, version):
            return True
        known = self._entries.of(name)
        unknown = not known if version is None else version not in known
        return unknown and self._polls and model_name(name) is not None

    def _is_coming(self, name: str, version: int | None) -> bool:
        return self._is_loading(name, version) or self._residency.cold(name, version) is not None

    def _is_loading(self, name: str, version: int | None) -> bool:
        """Whether the version is being loaded; with None, whether any version of the model is."""
        entries = self._entries.of(name)
        wanted = entries.values() if version is None else [entries[version]] if version in entries else []
        return any(entry.load is not None for entry in wanted)

    async def _until_answered(self, name: str, version: int | None) -> None:
        """Scan the repository for an unknown version, and return when the version answers or does not come."""
        if not self._is_coming(name, version):
            with self._for_scans:
                await self._shared_scan.run()
            self._load_passed_over(name, version)
        with self._for_loads:
            await self._load_until(name, version, lambda: self._answers(name, version))

    def _answers(self, name: str, version: int | None) -> bool:
        entry = self._entries.served(name, version)
        return entry is not None and entry.model is not None

    async def _load_until(
        self, name: str, version: int | None, is_enough: Callable[[], bool], room_seconds: float | None = None
    ) -> None:
        """Load a version if it is cold, and wait until that is enough, or until no load runs.

        The version stays in memory until the caller gives up the event loop. After `room_seconds` no load begins any
        more; a load that has begun ends by itself.
        """
        has_waited = False
        until = None if room_seconds is None else asyncio.get_running_loop().time() + room_seconds
        with self._residency.awaited(name, version):
            while not self._entries.draining and not is_enough():
                cold = self._residency.cold(name, version)
                if cold is not None and not (cold.held and has_waited):
                    async with asyncio.timeout_at(until):
                        await self._residency.load(cold)
                elif self._is_loading(name, version):
                    await self._changes.wait()
                    has_waited = True
                else:
                    return  # it is there, or it does not come: for example its files could not be read

    def _load_passed_over(self, name: str, version: int | None) -> None:
        """Load a version that was published and superseded between two scans: another replica may have served it."""
        if version is None or version in self._entries.of(name) or name in self._unloaded:
            return
        if not self._listing.is_new(name, version):
            return
        wanted, _ = self._listing.wanted(name)
        if version in wanted:
            self._loader.start(self._entries.add(name, version))


class _Waiters:
    """Counts the calls that wait. At most so many may wait at once."""

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0

    def __enter__(self) -> None:
        if self._count >= self._most:
            raise ModelNotReady(f"{self._count} callers wait for versions that are not loaded; try again later")
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1
