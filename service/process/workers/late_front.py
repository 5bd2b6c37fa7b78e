"""The front end of a worker: it listens when the worker may take calls, not before."""

from collections.abc import Mapping
from typing import Self

from service.access.certificates import Certificates
from service.access.reloaded import ReloadedFiles
from service.frontends.grpcio import server
from service.metrics.metrics import Metrics
from service.rpc.calls import Method
from service.rpc.entrance import Entrance
from service.settings import Settings


class LateFront:
    """A front end of grpcio that :meth:`listen` starts. While a worker loads, other workers get all connections."""

    port = 0

    def __init__(
        self,
        methods: Mapping[str, Method],
        metrics: Metrics,
        entrance: Entrance,
        certificates: ReloadedFiles[Certificates] | None,
        settings: Settings,
    ) -> None:
        self._given = (methods, metrics, entrance, certificates, settings)
        self._front: server.GrpcioServer | None = None

    @classmethod
    async def start(
        cls,
        methods: Mapping[str, Method],
        metrics: Metrics,
        entrance: Entrance,
        certificates: ReloadedFiles[Certificates] | None,
        settings: Settings,
    ) -> Self:
        """A front end that does not listen yet."""
        return cls(methods, metrics, entrance, certificates, settings)

    async def listen(self) -> None:
        """Take calls.

        Raises:
            StartupError: The server cannot listen on the address.
        """
        self._front = await server.start(*self._given)
        self.port = self._front.port

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, and wait for open ones."""
        if self._front is not None:
            await self._front.stop(grace_seconds)
