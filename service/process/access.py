"""Who may do what on a server: its token file, watched, and its access log."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any

from service.access.access_log import AccessLog
from service.access.authorizer import Authorizer
from service.access.reloaded import ReloadedFiles
from service.metrics.metrics import Metrics
from service.rpc.entrance import Entrance
from service.settings import Settings


class Access:
    """The parts that decide on callers. Lives on one event loop; ends with :meth:`close`.

    Args:
        settings: Name the files.
        paths: The methods of the server.
        metrics: Tell whether the files are in use as they are, and how many lines were lost.

    Attributes:
        entrance: For the front end.

    Raises:
        StartupError: A file cannot be read or written, or is invalid.
    """

    def __init__(self, settings: Settings, paths: Collection[str], metrics: Metrics) -> None:
        authorizer = Authorizer(Path(settings.tokens), paths) if settings.tokens else None
        self._log = AccessLog(settings.access_log) if settings.access_log else None
        self.entrance = Entrance(authorizer, self._log)
        self._watches: list[asyncio.Task[None]] = []
        if authorizer is not None:
            self._watch("tokens", authorizer.file, metrics)
        if self._log is not None:
            metrics.access.watch_log(self._log)

    def _watch(self, kind: str, files: "ReloadedFiles[Any]", metrics: Metrics) -> None:
        metrics.access.watch_files(kind, files)
        self._watches.append(asyncio.create_task(files.watch(), name=f"watch {kind}"))

    async def close(self) -> None:
        """Watch no more, and write what the access log still has."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        if self._log is not None:
            await asyncio.to_thread(self._log.close)
