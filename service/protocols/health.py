"""grpc.health.v1.Health: whether the process, the server, one of its services or one of its models answers.

Source: the gRPC health checking protocol.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field

from grpc_health.v1 import health_pb2 as pb

from service.access.authorizer import Authorizer
from service.access.token_file import Token
from service.errors import ModelNotFound, ModelNotReady
from service.registry.registry import Registry
from service.rpc.calls import Method, RequestContext, ServerStream, Unary, parse

SERVICE = "grpc.health.v1.Health"
_WATCH = f"/{SERVICE}/Watch"
# For whoever restarts processes: it serves as long as calls are answered at all, with models or without.
LIVENESS = "liveness"

# Watchers learn of loads, swaps and stops at once. Other changes, such as a batcher that broke, are looked for this
# often: once for all watchers of a name, since an idle watcher must cost nothing.
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
        self._watched: dict[str, _Watched] = {}
        self._recheck: asyncio.TimerHandle | None = None  # while there are watchers
        self._stopped = False
        self._authorizer: Authorizer | None = None  # where watchers have tokens
        self._valid: tuple[Token, ...] = ()

    def methods(self) -> list[Method]:
        """The service's methods."""
        return [
            Unary(f"/{SERVICE}/Check", "health", self._check),
            ServerStream(_WATCH, "health", self._watch),
        ]

    def changed(self) -> None:
        """Tell the watchers of each name whose state is another one now."""
        for name, watched in self._watched.items():
            status = self._status(name)
            if status != watched.status:
                watched.status = status
                watched.wake()

    def stop(self) -> None:
        """Tell every watcher the last state and end its stream."""
        self._stopped = True
        self.changed()
        for watched in self._watched.values():
            watched.wake()

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
        self._authorizer = call.caller.authorizer
        self._check_caller(call, name)
        watched = self._enter(name)
        told: int | None = None
        try:
            while True:
                call.caller = call.caller.renewed(_WATCH)
                self._check_caller(call, name)
                # Looked at first: a stop that comes while a state is sent is told of in the next round.
                stopped, changed, status = self._stopped, watched.changed, watched.status
                if status != told:
                    told = status
                    yield pb.HealthCheckResponse(status=status).SerializeToString()
                if stopped:
                    return
                await changed.wait()
        finally:
            self._leave(name)

    def _enter(self, name: str) -> "_Watched":
        """Count one more watcher of a name."""
        status = self._status(name)
        watched = self._watched.setdefault(name, _Watched(status))
        if status != watched.status:
            self.changed()
        watched.watchers += 1
        if self._recheck is None:
            self._look_later()
        return watched

    def _leave(self, name: str) -> None:
        watched = self._watched[name]
        watched.watchers -= 1
        if not watched.watchers:
            del self._watched[name]
        if not self._watched and self._recheck is not None:
            self._recheck.cancel()
            self._recheck = None

    def _look_later(self) -> None:
        self._recheck = asyncio.get_running_loop().call_later(_RECHECK_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._look_later()
        self.changed()
        self._check_tokens()

    def _check_tokens(self) -> None:
        """Wake all watchers after a change of the tokens: each looks whether its own still has the right."""
        if self._authorizer is not None and (valid := self._authorizer.valid()) != self._valid:
            self._valid = valid
            for watched in self._watched.values():
                watched.wake()

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
                self._registry.probe(name)
                ready = not self._registry.draining
            except ModelNotFound:
                return pb.HealthCheckResponse.SERVICE_UNKNOWN
            except ModelNotReady:
                ready = False
        return pb.HealthCheckResponse.SERVING if ready else pb.HealthCheckResponse.NOT_SERVING


@dataclass(eq=False, slots=True)
class _Watched:
    """A name that is watched.

    Attributes:
        status: Its state, as its watchers are told.
        changed: Set at the next change; each change has an event of its own.
        watchers: Number of open streams.
    """

    status: int
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    watchers: int = 0

    def wake(self) -> None:
        """Wake the watchers."""
        self.changed.set()
        self.changed = asyncio.Event()
