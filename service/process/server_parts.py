"""What a server is given: a front end and, among several workers, its ties to the others."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from service.metrics.metrics import Metrics
from service.registry.agreement import Agreement
from service.rpc.calls import Method
from service.settings import Settings


class Front(Protocol):
    """A front end: takes calls from the network and gives them to the table of methods."""

    port: int

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, and wait for open ones. Calls that are still open after the grace time are cancelled."""


StartFront = Callable[[Mapping[str, Method], Metrics, Settings], Awaitable[Front]]


class Membership(Protocol):
    """One worker's ties to the others."""

    @property
    def metrics(self) -> Metrics:
        """Get the counts."""

    @property
    def versions(self) -> Agreement:
        """What the other workers say of a version."""
