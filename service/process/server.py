"""The server: builds and connects all parts, serves, drains. No other module does that."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.metadata import version as installed_version

from service.access.quota import TokenQuotas
from service.frontends.front import Front, StartFront
from service.metrics.metrics import Metrics
from service.process.access import Access, warn_if_open
from service.process.http_ports import HttpPorts
from service.process.output.ready_line import ready_line
from service.process.reload import Reload
from service.process.server_parts import Membership, flush
from service.process.stop import ANSWERED, CLOSED, TRACED, Stop
from service.process.threads import where_threads_are
from service.protocols.health import Health
from service.protocols.methods import SERVICES, methods
from service.quota.quotas import Quotas
from service.registry.model.onnx_runtime import onnxruntime
from service.registry.model.session import check_providers
from service.registry.registry import Registry
from service.registry.version_status import SERVED
from service.settings import Settings
from service.tracing.start import Tracing

_log = logging.getLogger(__name__)

# Longest wait at the end for a receiver of traces.
_LONGEST_EXPORT_SECONDS = 2.0


class Server:
    """A server that listens. :func:`start` creates it and :meth:`finish` ends it.

    Attributes:
        registry: Its models.
        metrics: Its metrics.
        front: The front end, which listens for gRPC.
        http: The ports of health and metrics; None if another process has them.
    """

    def __init__(
        self,
        registry: Registry,
        metrics: Metrics,
        health: Health,
        http: HttpPorts | None,
        front: Front,
        access: Access,
        tracing: Tracing,
        *,
        poll: bool,
    ) -> None:
        self.registry = registry
        self.metrics = metrics
        self.front = front
        self.http = http
        self._health = health
        self._access = access
        self._poll = poll
        self._tracing = tracing

    async def load(self) -> None:
        """Load every model of the repository. Until then requests are answered with UNAVAILABLE.

        Raises:
            StartupError: The folder of the repository is absent, or the provider is not available.
        """
        await self.registry.load_all()
        self._health.changed()
        if self._poll:
            self.registry.watch(self._health.changed)

    async def finish(self, stop: Stop) -> bool:
        """Stop and lose no accepted request: readiness off, refuse new requests, drain, close, metrics last.

        Args:
            stop: A stop that was asked for. Its milestones limit the waits; after the grace period open requests fail
                with UNAVAILABLE.

        Returns:
            Whether everything ended. False if a run has not returned and is abandoned.
        """
        drain = asyncio.create_task(self.registry.drain(), name="drain")
        await asyncio.sleep(0)  # in this turn drain() turns readiness off
        self._health.stop()
        close: asyncio.Task[None] | None = None
        if not await stop.wait(drain, ANSWERED):
            why = "a stop at once was asked for" if stop.is_at_once else "the grace period is over"
            _log.warning("%s; requests that still wait are refused", why)
            close = asyncio.create_task(self.registry.close(), name="close")
        await flush(self.front, stop)
        export = asyncio.create_task(self._tracing.stop(_LONGEST_EXPORT_SECONDS), name="export")
        close = close or asyncio.create_task(self.registry.close(), name="close")
        all_ended = await stop.wait(close, CLOSED)
        await self._access.close()
        await stop.wait(export, TRACED)
        tasks = (drain, close, export)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.http is not None:
            await self.http.close()
        if all_ended:
            close.result()
        return all_ended


async def start(
    settings: Settings, start_front: StartFront | None = None, membership: Membership | None = None
) -> Server:
    """Listen on both ports. :meth:`Server.load` loads the models.

    Args:
        settings: The settings of the server.
        start_front: Starts the front end; None starts grpcio's.
        membership: Of one worker among several, whose parent has the HTTP port; None if this process is the only one.

    Raises:
        StartupError: The server cannot listen on a port, a file that it needs is invalid, the provider is not
            available, or traces cannot be sent.
    """
    if start_front is None:
        from service.frontends.grpcio import server  # imported here to save 10 MB inside Envoy

        start_front = server.start
    metrics = Metrics() if membership is None else membership.metrics
    tracing = Tracing(settings.trace_endpoint, settings.trace_sample, metrics.traces_ended)
    check_providers(settings)
    metrics.build_info(version=installed_version("kan-serving"), onnxruntime=onnxruntime.__version__)
    agreement, levels = (None, None) if membership is None else (membership.versions, membership.levels)
    registry = Registry(settings, metrics, agreement, Quotas("model", levels))
    health = Health(registry, SERVICES)
    table = methods(registry, health, settings)
    async with AsyncExitStack() as started:
        http = None
        if membership is None:
            warn_if_open(settings)
            http = HttpPorts(settings, metrics.registry, registry.unready_reason)
            started.push_async_callback(http.close)
        known = () if membership is None else (membership.last_valid,)
        quotas = TokenQuotas(Quotas("token", levels))
        access = Access(settings, table, metrics, tracing.head, quotas, *known)
        started.push_async_callback(access.close)
        front = await start_front(table, metrics, access.entrance, access.certificates, settings)
        started.pop_all()
    tracing.start(settings.host, lambda: front.port)
    return Server(registry, metrics, health, http, front, access, tracing, poll=settings.poll_seconds > 0)


async def serve(settings: Settings, announce: Callable[[str], None], stop: Stop, reload: Reload | None = None) -> bool:
    """Serve until a stop is asked for, then drain.

    Args:
        settings: The settings of the server.
        announce: Gets one line when the models are loaded, with the ports and the versions that answer. Scripts wait
            for it.
        stop: Ends serving, and limits the time of the drain.
        reload: Reads the settings file again; None without a file.

    Returns:
        Whether everything ended (:meth:`Server.finish`).

    Raises:
        StartupError: The server cannot start.
    """

    async def loaded(server: Server) -> None:
        announce(summary(server, settings))

    return await run(await start(settings), settings, loaded, stop, reload)


async def run(
    server: Server,
    settings: Settings,
    loaded: Callable[[Server], Awaitable[None]],
    stop: Stop,
    reload: Reload | None = None,
) -> bool:
    """Load the models, serve until a stop is asked for, then drain.

    Args:
        server: A server that listens already.
        settings: Have the grace period.
        loaded: Is called when the models are loaded.
        stop: Ends serving, and limits the time of the drain.
        reload: As for `serve`.

    Returns:
        Whether everything ended (:meth:`Server.finish`).

    Raises:
        StartupError: The folder of the repository is absent, or the provider is not available.
    """

    async def load_and_reload() -> None:
        await server.load()
        # Objects that exist now stay for ever. If the garbage collector examined them, each pause would take 15 ms.
        gc.collect()
        gc.freeze()
        await loaded(server)
        if reload is not None:
            await reload.run(server.registry.adopt, server.metrics.reloads.note)

    loading = asyncio.create_task(load_and_reload(), name="load")
    stopping = asyncio.create_task(stop.asked.wait(), name="stop")
    try:
        await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()
            await stopping
        if stop.is_at_once:
            _log.info("stopping at once: requests that are not answered yet are refused")
        else:
            _log.info("stopping: draining for at most %g s", settings.grace_seconds)
    finally:
        stop.ask()
        loading.cancel()
        stopping.cancel()
        await asyncio.gather(loading, stopping, return_exceptions=True)
        all_ended = await server.finish(stop)
    if all_ended:
        _log.info("stopped")
    else:
        _log.error("a run has not returned; it is abandoned: %s", where_threads_are())
    return all_ended


def versions_that_answer(registry: Registry) -> list[str]:
    """The versions that answer, as "digits/1". If there are none, the reason is logged."""
    found = [f"{status.name}/{status.version}" for status in registry.statuses() if status.state in SERVED]
    if not found:
        _log.warning("no model answers; %s", registry.no_versions_reason or registry.unready_reason())
    return found


def summary(server: Server, settings: Settings) -> str:
    """The ports in use and the versions that answer, in one line."""
    versions, is_ready = versions_that_answer(server.registry), server.registry.ready()
    http_port, metrics_port = (0, None) if server.http is None else (server.http.port, server.http.metrics_port)
    return ready_line(settings, server.front.port, http_port, metrics_port, versions, is_ready=is_ready)
