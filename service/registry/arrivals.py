"""Versions that callers name and that are not here yet, though they may be on their way."""

from collections.abc import Awaitable, Callable, Collection

from service.errors import ModelNotReady
from service.registry.entries import Entries
from service.registry.listing import Listing
from service.registry.loader import Loader
from service.registry.lookout import Lookout
from service.registry.news import News
from service.version_policy import VersionPolicy


class Arrivals:
    """Has them looked for and loaded, and waits for them. Lives on one event loop.

    Args:
        entries: The versions that were tried.
        listing: What the repository holds.
        policy: Which versions may be served.
        loader: Loads a version that was passed over.
        look: Looks at the repository.
        news: Tells when a load is over.
        unloaded: Models that were unloaded; their versions are not brought back.
        most_waiting: How many may wait at once: those who wait keep places that other callers need.
    """

    def __init__(
        self,
        entries: Entries,
        listing: Listing,
        policy: VersionPolicy,
        loader: Loader,
        look: Callable[[], Awaitable[None]],
        news: News,
        unloaded: Collection[str],
        most_waiting: int,
    ) -> None:
        self._entries = entries
        self._listing = listing
        self._policy = policy
        self._loader = loader
        self._lookout = Lookout(look)
        self._news = news
        self._unloaded = unloaded
        self._most_waiting = most_waiting
        self._waiting = 0

    async def until_settled(self, name: str, version: int | None, given_up: Callable[[], bool]) -> None:
        """Return once a version has been looked for and its load, if there is one, is over.

        Args:
            name: The model.
            version: None for any of its versions.
            given_up: Ends the wait for a load early; asked at each news.

        Raises:
            ModelNotReady: Too many wait already.
            StartupError: The repository cannot be read.
        """
        if self._waiting >= self._most_waiting:
            raise ModelNotReady(f"{self._waiting} callers wait for versions that are not here; try again later")
        self._waiting += 1
        try:
            if not self.is_loading(name, version):
                await self._lookout.look()
                self._load_passed_over(name, version)
            await self._news.until(lambda: given_up() or not self.is_loading(name, version))
        finally:
            self._waiting -= 1

    def is_loading(self, name: str, version: int | None) -> bool:
        """Whether a load is under way that may bring a version, or where none is named any of the model's."""
        entries = self._entries.of(name)
        wanted = entries.values() if version is None else [entries[version]] if version in entries else []
        return any(entry.load is not None for entry in wanted)

    async def close(self) -> None:
        """Look no longer."""
        await self._lookout.close()

    def _load_passed_over(self, name: str, version: int | None) -> None:
        """Load a version that came and was superseded between two looks: other replicas may have answered with it."""
        if version is None or version in self._entries.of(name) or name in self._unloaded:
            return
        if not self._listing.is_new(name, version):
            return
        wanted, _ = self._policy.wanted(name, self._listing.of(name))
        if version in wanted:
            self._loader.start(self._entries.add(name, version))
