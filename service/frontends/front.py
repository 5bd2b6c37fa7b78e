"""What a front end is to the server, whichever it is."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from service.access.certificates import Certificates
from service.access.reloaded import ReloadedFiles
from service.metrics.metrics import Metrics
from service.rpc import calls
from service.rpc.entrance import Entrance
from service.settings import Settings


class Front(Protocol):
    """A front end: takes calls from the network and gives them to the table of methods."""

    port: int

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, and wait for open ones. Calls that are still open after the grace time are cancelled."""


StartFront = Callable[
    [Mapping[str, calls.Method], Metrics, Entrance, ReloadedFiles[Certificates] | None, Settings], Awaitable[Front]
]
