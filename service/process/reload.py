"""Reads the settings file again while the server runs: when it has changed, and when SIGHUP asks for it.

A file is taken as a whole or refused as a whole. A refused file changes nothing: the log says why in one line, and a
metric counts it.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from service.errors import SettingsError
from service.process.reload_request import ReloadRequest
from service.repository.daemon_thread import in_daemon_thread
from service.rpc.worker_count import with_worker_count
from service.settings import Settings, Sources
from service.settings.changes import changes
from service.settings.check import absent_models
from service.settings.file_watch import FileWatch

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


class Reload:
    """Reloads the settings of one server. Used on one event loop.

    Args:
        sources: Where the settings come from. They have a file.
        settings: Those in force, with a number of workers.

    Attributes:
        sources: As given.
        request: Asks for a reload.
    """

    def __init__(self, sources: Sources, settings: Settings) -> None:
        assert sources.file is not None
        self.sources = sources
        self.request = ReloadRequest()
        self._settings = settings
        self._is_refused = False
        self._watch = FileWatch(sources.file)

    async def run(self, adopt: Callable[[Settings], Awaitable[None]], count: Callable[[bool], None]) -> None:
        """Reload until it is cancelled.

        Args:
            adopt: Puts settings in force; raises SettingsError and changes nothing if it cannot.
            count: Counts a reload, with whether the settings were taken.
        """
        while True:
            asked = await self.request.wait(_LOOK_SECONDS)
            try:
                # In a thread: the file may lie on a network that hangs.
                settings = await in_daemon_thread(partial(self._look, asked=asked), "settings")
                # A file that is as before is told only if somebody asked, or if the one between was refused.
                if settings is not None and (settings != self._settings or asked or self._is_refused):
                    _log.info("%s", await self._take(settings, adopt))
                    self._is_refused = False
                    count(True)
            except SettingsError as error:
                self._refuse(str(error), count)
            except Exception as error:
                _log.exception("a reload of the settings broke")
                self._refuse(repr(error), count)

    def _look(self, *, asked: bool) -> Settings | None:
        """The settings of the file, if it has changed or if they are asked for."""
        if not (self._watch.has_changed() or asked):
            return None
        self._watch.take()
        file = self.sources.read()
        settings = with_worker_count(self.sources.combine(file))
        if warning := absent_models(settings, file):
            _log.warning("settings of %s", warning)
        return settings

    async def _take(self, settings: Settings, adopt: Callable[[Settings], Awaitable[None]]) -> str:
        """Put settings in force; says what has changed."""
        found = changes(self._settings, settings)
        if fixed := [each for each in found if not each.is_live]:
            raise SettingsError([f"{'; '.join(map(str, fixed))}: that needs a restart"])
        await adopt(settings)
        self._settings = settings
        told = "; ".join(map(str, found)) or "no changes"
        return f"the settings of {self.sources.file} are in force: {told}"

    def _refuse(self, reason: str, count: Callable[[bool], None]) -> None:
        self._is_refused = True
        _log.error("the settings of %s are refused, and nothing has changed: %s", self.sources.file, reason)
        count(False)  # as with settings that are taken: who sees the count finds the line
