"""grpc.health.v1.Health: whether the process, the server, one of its services or one of its models answers.

Source: the gRPC health checking protocol.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress

from grpc_health.v1 import health_pb2 as pb

from service.errors import ModelNotFound, ModelNotReady
from service.registry.registry import Registry
from service.rpc.calls import Method, RequestContext, ServerStream, Unary, parse

SERVICE = "grpc.health.v1.Health"
# For whoever restarts processes: it serves as long as calls are answered at all, with models or without.
LIVENESS = "liveness"

# A watcher learns at once that the server stops; what else may change (a model that broke) is looked at this often.
_RECHECK_SECONDS = 1.0


class Health:
    """Answers about health, and tells watchers of changes.

    Args:
        registry: Who knows the models.
        services: Full names of the gRPC services that are asked about like the whole server.
    """

    def __init__(self, registry: Registry, services: Iterable[str]) -> None:
        self._registry = registry
        self._services = frozenset(services) | {"", SERVICE}
        self._changed = asyncio.Event()
        self._stopped = False

    def methods(self) -> list[Method]:
        """The service's methods."""
        return [
            Unary(f"/{SERVICE}/Check", "health", self._check),
            ServerStream(f"/{SERVICE}/Watch", "health", self._watch),
        ]

    def changed(self) -> None:
        """Have every watcher look again, now."""
        self._changed.set()
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """Tell every watcher the last state and end its stream."""
        self._stopped = True
        self.changed()

    async def _check(self, call: RequestContext, request: bytes) -> bytes:
        """Check: the state now."""
        name = parse(pb.HealthCheckRequest, request).service
        self._check_caller(call, name)
        status = self._status(name)
        if status == pb.HealthCheckResponse.SERVICE_UNKNOWN:
            raise ModelNotFound(
                f"service {name!r} is unknown; wanted '', '{LIVENESS}', a service's full name or a model's name"
            )
        return pb.HealthCheckResponse(status=status).SerializeToString()

    async def _watch(self, call: RequestContext, request: bytes) -> AsyncGenerator[bytes, None]:
        """Watch: the state now and after every change, until the server stops."""
        name = parse(pb.HealthCheckRequest, request).service
        self._check_caller(call, name)
        told: int | None = None
        while True:
            # Looked at first: a stop that comes while a state is sent is told of in the next round.
            stopped, changed, status = self._stopped, self._changed, self._status(name)
            if status != told:
                told = status
                yield pb.HealthCheckResponse(status=status).SerializeToString()
            if stopped:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_RECHECK_SECONDS):
                    await changed.wait()

    def _check_caller(self, call: RequestContext, name: str) -> None:
        """Refuse a model that the caller may not use."""
        if name != LIVENESS and name not in self._services:
            call.caller.check_model(name)

    def _status(self, name: str) -> int:
        """The state of the process, of the server, of a service or of a model's latest version."""
        if name == LIVENESS:
            return pb.HealthCheckResponse.SERVING
        if name in self._services:
            ready = self._registry.ready()
        else:
            try:
                with self._registry.lease(name):
                    ready = not self._registry.draining
            except ModelNotFound:
                return pb.HealthCheckResponse.SERVICE_UNKNOWN
            except ModelNotReady:
                ready = False
        return pb.HealthCheckResponse.SERVING if ready else pb.HealthCheckResponse.NOT_SERVING
