"""The models that answer take other settings: all of them, or none.

A model whose runs change is loaded once more beside the one that answers. When all are loaded, they take over in one
turn of the event loop. If one of them cannot be loaded, none takes over.
"""

import asyncio
from collections.abc import Iterator

from service.errors import ModelRefused, SettingsError, StartupError
from service.registry.entries import Entries, Entry
from service.registry.loader import Loader
from service.registry.model.live_model import LiveModel
from service.registry.model.session import check_providers
from service.registry.succession.succession import Succession
from service.registry.version_status import State
from service.settings import Settings


class Adoption:
    """Changes the settings of models. Used on one event loop, for one change at a time.

    Args:
        entries: The versions.
        loader: Loads models once more. It takes the settings too.
        succession: Lets one model take the place of another.
        settings: Those in force.
    """

    def __init__(self, entries: Entries, loader: Loader, succession: Succession, settings: Settings) -> None:
        self._entries = entries
        self._loader = loader
        self._succession = succession
        self._settings = settings

    async def adopt(self, settings: Settings) -> None:
        """Have every model run with these settings.

        Raises:
            SettingsError: A model cannot run with them. Nothing has changed.
        """
        made: dict[Entry, LiveModel] = {}
        try:
            check_providers(settings)
            while (entry := next(self._unlike(settings, made), None)) is not None:
                made[entry] = await self._remake(entry, settings)
            self._check_ground(settings)
            if self._entries.draining:
                raise SettingsError(["the server is stopping"])
            self._change(settings, made)
        except StartupError as error:
            raise SettingsError([str(error)]) from error
        finally:
            # Models that have not taken over: the change was refused, or their versions were retired meanwhile.
            await asyncio.gather(*(model.close() for model in made.values()))

    def _unlike(self, settings: Settings, made: dict[Entry, LiveModel]) -> Iterator[Entry]:
        """The versions that answer and stay, and whose model was made for other settings."""
        for entry in self._entries:
            answers = entry.state is State.READY and entry not in made
            if answers and entry.model and entry.model.run_terms != settings.run_terms(entry.name):
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

    def _change(self, settings: Settings, made: dict[Entry, LiveModel]) -> None:
        """Put the settings in force. Each model that takes over is removed from `made`."""
        before, self._settings, self._loader.settings = self._settings, settings, settings
        for entry in self._entries:
            if entry.state is State.READY and entry in made:
                self._succession.replace(entry, made.pop(entry))
            elif entry.model is not None:
                entry.model.adopt(settings)
            elif entry.state is State.REFUSED and _differ(before, settings, entry.name):
                entry.due = True


def _differ(before: Settings, after: Settings, name: str) -> bool:
    terms_differ = before.run_terms(name) != after.run_terms(name)
    return terms_differ or before.table_of(name) != after.table_of(name)


def _refusal(entry: Entry, error: Exception) -> SettingsError:
    gone = isinstance(error, ModelRefused) and error.kind == "missing"
    why = f"its files are gone, put them back or unload it: {error}" if gone else str(error)
    return SettingsError([f"model {entry.name} version {entry.version} cannot run with them: {why}"])
