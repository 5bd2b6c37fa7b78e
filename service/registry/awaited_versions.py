"""Requests for versions that are not loaded yet, but may be in the repository already."""

from collections.abc import Awaitable, Callable, Collection

from service.errors import ModelNotReady
from service.registry.change_signal import ChangeSignal
from service.registry.entries import Entries
from service.registry.listing import Listing
from service.registry.loader import Loader
from service.registry.shared_scan import SharedScan
from service.version_policy import VersionPolicy


class AwaitedVersions:
    """Scans the repository for such a version, has it loaded and waits for it. Used on one event loop.

    Args:
        entries: The versions that were tried.
        listing: The versions in the repository.
        policy: Which versions may be served.
        loader: Loads a version that no scan has loaded.
        scan: Scans the repository.
        changes: Signals the end of each load.
        unloaded: Models that were unloaded. Their versions are not loaded here.
        most_waiting: Most requests that may wait at once. Each takes the place of another call (`max_calls`).
    """

    def __init__(
        self,
        entries: Entries,
        listing: Listing,
        policy: VersionPolicy,
        loader: Loader,
        scan: Callable[[], Awaitable[None]],
        changes: ChangeSignal,
        unloaded: Collection[str],
        most_waiting: int,
    ) -> None:
        self._entries = entries
        self._listing = listing
        self._policy = policy
        self._loader = loader
        self._shared_scan = SharedScan(scan)
        self._changes = changes
        self._unloaded = unloaded
        self._most_waiting = most_waiting
        self._waiting = 0

    async def until_settled(self, name: str, version: int | None, given_up: Callable[[], bool]) -> None:
        """Scan the repository for a version, and return when its load is over or when there is none.

        Args:
            name: The model.
            version: None for any of its versions.
            given_up: Returns True to end the wait early. It is called at each signal of `changes`.

        Raises:
            ModelNotReady: Too many requests wait already.
            StartupError: The repository cannot be read.
        """
        if self._waiting >= self._most_waiting:
            raise ModelNotReady(f"{self._waiting} callers wait for versions that are not loaded; try again later")
        self._waiting += 1
        try:
            if not self.is_loading(name, version):
                await self._shared_scan.run()
                self._load_passed_over(name, version)
            await self._changes.until(lambda: given_up() or not self.is_loading(name, version))
        finally:
            self._waiting -= 1

    def is_loading(self, name: str, version: int | None) -> bool:
        """Whether the version is being loaded; with None, whether any version of the model is."""
        entries = self._entries.of(name)
        wanted = entries.values() if version is None else [entries[version]] if version in entries else []
        return any(entry.load is not None for entry in wanted)

    async def close(self) -> None:
        """Cancel the scans."""
        await self._shared_scan.close()

    def _load_passed_over(self, name: str, version: int | None) -> None:
        """Load a version that was published and superseded between two scans: another replica may have served it."""
        if version is None or version in self._entries.of(name) or name in self._unloaded:
            return
        if not self._listing.is_new(name, version):
            return
        wanted, _ = self._policy.wanted(name, self._listing.of(name))
        if version in wanted:
            self._loader.start(self._entries.add(name, version))
