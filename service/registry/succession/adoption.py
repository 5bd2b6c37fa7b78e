"""The models that answer take other settings: all of them, or none.

A model whose runs change is loaded once more beside the one that answers. When all are loaded, they take over in one
turn of the event loop. If one of them cannot be loaded, none takes over.

Several workers do it together, in steps: each prepares, versions that take over are armed, all commit.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from service.errors import Draining, ModelRefused, SettingsError, StartupError
from service.registry.entries import Entries, Entry
from service.registry.loader import Loader
from service.registry.model.live_model import LiveModel
from service.registry.model.session import check_providers
from service.registry.scanning.listing import Listing
from service.registry.succession.succession import Succession
from service.registry.version_status import State
from service.settings import Settings

# Nothing may be switched to meanwhile. A search of a storage that answers takes seconds.
_LONGEST_SCAN_SECONDS = 30.0


@dataclass(eq=False)
class Prepared:
    """Settings that can be put in force at any moment.

    Attributes:
        settings: The settings.
        successors: By model, a loaded version that takes over from one that the settings forbid. Models whose latest
            version stays are absent, and models that have no such version yet.
        made: The models that take over.
    """

    settings: Settings
    successors: Mapping[str, int] = field(default_factory=dict)
    made: dict[Entry, LiveModel] = field(default_factory=dict)


class Adoption:
    """Changes the settings of models. Used on one event loop, for one change at a time.

    Args:
        entries: The versions.
        loader: Loads models once more. It takes the settings too.
        succession: Lets one model take the place of another.
        listing: The versions in the repository. It takes the version policy.
        unloaded: Models that stay unloaded.
        scanning: Held by each scan of the repository.
        changed: Is called when settings are in force.
        settings: Those in force.
    """

    def __init__(
        self,
        entries: Entries,
        loader: Loader,
        succession: Succession,
        listing: Listing,
        unloaded: Collection[str],
        scanning: asyncio.Lock,
        changed: Callable[[], None],
        settings: Settings,
    ) -> None:
        self._entries = entries
        self._loader = loader
        self._succession = succession
        self._listing = listing
        self._unloaded = unloaded
        self._scanning = scanning
        self._changed = changed
        self._settings = settings

    async def adopt(self, settings: Settings) -> None:
        """Have every model run with these settings.

        Raises:
            SettingsError: A model cannot run with them. Nothing has changed.
        """
        prepared = Prepared(settings)
        try:
            await self._make(prepared)
            self._change(prepared)
        except Draining as error:
            raise SettingsError([str(error)]) from error
        finally:
            await _close(prepared)

    async def prepare(self, settings: Settings) -> Prepared:
        """Make everything ready for settings. Until `end`, no scan changes which versions answer.

        Raises:
            SettingsError: A model cannot run with them. Nothing has changed, and `end` is not to be called.
            Draining: The server is stopping. The same holds.
        """
        prepared = Prepared(settings)
        try:
            async with asyncio.timeout(_LONGEST_SCAN_SECONDS):
                await self._scanning.acquire()
        except TimeoutError:
            why = f"a search of the model repository has not ended for {_LONGEST_SCAN_SECONDS:g} s; repair its storage"
            raise SettingsError([f"{why}, and send SIGHUP"]) from None
        try:
            await self._make(prepared)
            prepared.successors = dict(self._successors(settings))
            for entry in self._lingering(prepared):
                self._succession.stop_time(entry)  # it is there when it takes over, in every worker
        except BaseException:
            await self.end(prepared)
            raise
        return prepared

    def arm(self, successors: Mapping[str, int], is_switched: Callable[[], bool]) -> None:
        """Let loaded versions take over once `is_switched` gives True."""
        for name, version in successors.items():
            entry = self._entries.of(name).get(version)
            if entry is not None:
                self._entries.arm(entry, is_switched)

    def commit(self, prepared: Prepared, successors: Mapping[str, int]) -> None:
        """Put settings in force, in one turn of the event loop.

        Args:
            prepared: Those settings.
            successors: Those of `prepared` that every worker has. Others are loaded again, as new versions are.
        """
        if self._entries.draining:
            return
        for name, wanted, _ in self._overthrown(prepared.settings):
            for entry in self._loaded(name, wanted) if name not in successors else ():
                self._succession.retire(entry, "it is loaded with other settings")
        self._change(prepared)

    async def end(self, prepared: Prepared) -> None:
        """End a change: let scans go on, and close the models that have not taken over."""
        self._scanning.release()
        for entry in self._lingering(prepared):
            self._succession.start_time(entry)
        await _close(prepared)

    async def _make(self, prepared: Prepared) -> None:
        """Load the models that take over, and check the others."""
        try:
            check_providers(prepared.settings)
            while (entry := next(self._unlike(prepared), None)) is not None:
                prepared.made[entry] = await self._remake(entry, prepared.settings)
            self._check_ground(prepared.settings)
        except StartupError as error:
            raise SettingsError([str(error)]) from error
        if self._entries.draining:
            raise Draining("the server is stopping and takes no settings")

    def _unlike(self, prepared: Prepared) -> Iterator[Entry]:
        """The versions that answer and stay, and whose model was made for other settings."""
        for entry in self._entries:
            answers = entry.state is State.READY and entry not in prepared.made
            if answers and entry.model and entry.model.run_terms != prepared.settings.run_terms(entry.name):
                yield entry

    async def _remake(self, entry: Entry, settings: Settings) -> LiveModel:
        try:
            return await self._loader.remake(entry, settings)
        except (ModelRefused, StartupError) as error:
            raise _refusal(entry, error) from error

    def _check_ground(self, settings: Settings) -> None:
        for entry in self._entries:
            if entry.model is not None:
                try:
                    entry.model.ground.under(entry.model.manifest, settings.table_of(entry.name).unknown_ground)
                except ModelRefused as error:
                    raise _refusal(entry, error) from error

    def _overthrown(self, settings: Settings) -> Iterator[tuple[str, list[int], int]]:
        """The models whose latest version the settings forbid: the versions that they allow, and how many of them."""
        policy = settings.version_policy
        for name in self._listing.names - set(self._unloaded):
            wanted, count = policy.wanted(name, self._listing.of(name))
            latest = self._entries.latest(name)
            if latest is None or latest.version not in wanted:
                yield name, wanted, count

    def _successors(self, settings: Settings) -> Iterator[tuple[str, int]]:
        """The versions that `Succession.settle` would let take over without a load."""
        for name, wanted, count in self._overthrown(settings):
            kept: list[Entry] = []
            for version in wanted:
                entry = self._entries.of(name).get(version)
                outdated = entry and entry.model and entry.model.run_terms != settings.run_terms(name)
                lingers_outdated = entry and entry.state is State.LINGERING and outdated
                if len(kept) == count or entry is None or entry.load or entry.due or lingers_outdated:
                    break
                if entry.state in (State.READY, State.LINGERING):
                    kept.append(entry)
            else:
                count = len(kept)
            if kept and len(kept) == count:
                yield name, kept[0].version

    def _lingering(self, prepared: Prepared) -> list[Entry]:
        found = [self._entries.of(name).get(version) for name, version in prepared.successors.items()]
        return [entry for entry in found if entry is not None and entry.state is State.LINGERING]

    def _loaded(self, name: str, wanted: Iterable[int]) -> Iterator[Entry]:
        for entry in [self._entries.of(name).get(version) for version in wanted]:
            if entry is not None and entry.state in (State.READY, State.LINGERING):
                yield entry

    def _change(self, prepared: Prepared) -> None:
        """Put the settings in force. Each model that takes over is removed from `made`."""
        settings = prepared.settings
        before, self._settings, self._loader.settings = self._settings, settings, settings
        for entry in self._entries:
            if entry.state is State.READY and entry in prepared.made:
                self._succession.replace(entry, prepared.made.pop(entry))
            elif entry.model is not None:
                entry.model.adopt(settings)
            elif entry.state is State.REFUSED and _differ(before, settings, entry.name):
                entry.due = True
        self._listing.policy = settings.version_policy
        for name in sorted(self._listing.names - set(self._unloaded)):  # as in other workers
            self._succession.settle(name, *self._listing.wanted(name))
        self._changed()


async def _close(prepared: Prepared) -> None:
    """Close the models that have not taken over: the change was refused, or their versions were retired meanwhile."""
    await asyncio.gather(*(model.close() for model in prepared.made.values()))


def _differ(before: Settings, after: Settings, name: str) -> bool:
    terms_differ = before.run_terms(name) != after.run_terms(name)
    return terms_differ or before.table_of(name) != after.table_of(name)


def _refusal(entry: Entry, error: Exception) -> SettingsError:
    gone = isinstance(error, ModelRefused) and error.kind == "missing"
    why = f"its files are gone, put them back or unload it: {error}" if gone else str(error)
    return SettingsError([f"model {entry.name} version {entry.version} cannot run with them: {why}"])
