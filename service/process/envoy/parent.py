"""kan-serve with the Envoy front end: start Envoy with the server inside it, watch both, drain them.

This process is small on purpose: it has no model, no onnxruntime and no gRPC.
"""

import asyncio
import http.client
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from service.access.certificates import Certificates
from service.errors import StartupError
from service.frontends.envoy.control import FD_VARIABLE, SETTINGS_VARIABLE, SOURCES_VARIABLE, Control
from service.process.envoy import process as envoy_process
from service.process.envoy.process import EnvoyProcess
from service.process.reload import Reload
from service.process.signals import how_it_ended
from service.process.stop import CLOSED, KILLED, LONGEST_READ_SECONDS, Stop
from service.settings import Settings

_log = logging.getLogger(__name__)

_APPLICATION = "service.process.envoy.child:application"
# Time for the server inside Envoy to report where it hangs.
_WHY_SECONDS = 0.2


class _Stopped(Exception):
    """A stop was asked for before Envoy listened."""


async def serve(
    settings: Settings,
    announce: Callable[[str], None],
    stop: Stop,
    reload: Reload | None = None,
    *,
    more_fds: Sequence[int] = (),
    last_valid: Certificates | None = None,
) -> bool:
    """As :func:`service.process.server.serve`, with the server inside Envoy.

    Args:
        settings: The settings of the server.
        announce: Gets one line when the models are loaded.
        stop: Ends serving, and limits the time of the drain.
        reload: Asks for a read of the settings file; None without a file.
        more_fds: File descriptors that the server inside Envoy inherits.
        last_valid: Certificates to start with if the files are invalid; None: they must be valid.

    Returns:
        Whether everything ended. False if the server inside Envoy hung, or ended without a report, and was abandoned.

    Raises:
        StartupError: The server cannot start, or Envoy ended without a stop.
    """
    try:
        async with _run_envoy(settings, stop, reload, more_fds, last_valid) as (process, control):
            return await _serve(process, control, announce, stop, reload)
    except _Stopped:
        return True


async def _serve(
    process: EnvoyProcess, control: Control, announce: Callable[[str], None], stop: Stop, reload: Reload | None
) -> bool:
    control.send(port=process.port)
    reports = _Reports(control, announce)
    stopping = asyncio.create_task(stop.asked.wait(), name="stop")
    ended = asyncio.create_task(process.wait(), name="envoy")
    forwarding = [asyncio.create_task(_forward(reload, control), name="forward")] if reload else []
    draining: asyncio.Task[None] | None = None
    try:
        await asyncio.wait({stopping, ended, reports.over}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            raise await reports.why(ended)
        control.send(stop=stop.asked_at)
        # This task is not awaited, because an Envoy that hangs does not answer.
        draining = asyncio.create_task(_start_draining(process), name="start draining")
        all_ended = await _wait_for_drain(control, reports, stop)
        if all_ended:
            flush = asyncio.create_task(_flush(process), name="flush")
            if not await stop.wait(flush, CLOSED):
                flush.cancel()
        return all_ended
    finally:
        for task in (stopping, ended, *forwarding, *filter(None, [draining])):
            task.cancel()
        await reports.close()


async def _forward(reload: Reload, control: Control) -> None:
    """Have the server inside Envoy read the settings file again, at each request for that."""
    while await reload.request.wait():
        control.send(reload=True)


async def _start_draining(process: EnvoyProcess) -> None:
    with _admin_may_be_gone():
        await process.start_draining()


async def _flush(process: EnvoyProcess) -> None:
    with _admin_may_be_gone():
        await process.flush(LONGEST_READ_SECONDS)


@contextmanager
def _admin_may_be_gone() -> Iterator[None]:
    """Log an error of Envoy's admin API and go on: Envoy may end, or be too busy to answer, during the drain."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        _log.warning("Envoy's admin API does not answer: %r", error)


@asynccontextmanager
async def _run_envoy(
    settings: Settings,
    stop: Stop,
    reload: Reload | None,
    more_fds: Sequence[int],
    last_valid: Certificates | None,
) -> AsyncIterator[tuple[EnvoyProcess, Control]]:
    """An Envoy with the server inside it, and the control connection to that server."""
    ours, theirs = socket.socketpair()
    control = await Control.on_socket(ours)
    try:
        try:
            with theirs:
                process = await _start_envoy(settings, stop, reload, theirs, more_fds, last_valid)
        except StartupError as error:
            # The report of the server inside Envoy has the cause. Envoy's exit code does not.
            async for report in control.messages():
                if "failed" in report:
                    raise StartupError(report["failed"]) from error
            raise
        try:
            yield process, control
        finally:
            await process.end(stop.remaining(KILLED))
    finally:
        control.close()


async def _start_envoy(
    settings: Settings,
    stop: Stop,
    reload: Reload | None,
    theirs: socket.socket,
    more_fds: Sequence[int],
    last_valid: Certificates | None,
) -> EnvoyProcess:
    """Start Envoy. If a stop is asked for meanwhile, end it and raise _Stopped."""
    theirs.set_inheritable(True)
    environment = {FD_VARIABLE: str(theirs.fileno()), SETTINGS_VARIABLE: settings.model_dump_json(exclude_none=True)}
    if reload is not None:
        environment[SOURCES_VARIABLE] = json.dumps([dict(reload.sources.flags), str(reload.sources.file)])
    starting = asyncio.create_task(
        envoy_process.start(
            *(_APPLICATION, settings, stop),
            pass_fds=[theirs.fileno(), *more_fds],
            environment=environment,
            last_valid=last_valid,
        ),
        name="start",
    )
    stopping = asyncio.create_task(stop.asked.wait(), name="stop")
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    if starting.done():
        return starting.result()
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    raise _Stopped


class _Reports:
    """The reports of the server inside Envoy.

    Attributes:
        over: Done when there will be no more reports: the server has stopped, failed or ended.
        last: The last report; empty if the server ended without one.
    """

    def __init__(self, control: Control, announce: Callable[[str], None]) -> None:
        self.last: Mapping[str, Any] = {}
        self._announce = announce
        self.over = asyncio.create_task(self._listen(control), name="reports")

    async def _listen(self, control: Control) -> None:
        async for report in control.messages():
            if "ready" in report:
                self._announce(report["ready"])
            else:
                self.last = report
                return

    async def why(self, ended: "asyncio.Task[int]") -> StartupError:
        """The error for a server that ended without a stop."""
        await asyncio.wait({self.over}, timeout=1)
        if "failed" in self.last:
            return StartupError(self.last["failed"])
        await asyncio.wait({ended}, timeout=1)
        how = how_it_ended(ended.result()) if ended.done() else "ended without a report"
        return StartupError(f"Envoy or the server inside it {how}")

    async def close(self) -> None:
        self.over.cancel()
        await asyncio.gather(self.over, return_exceptions=True)


async def _wait_for_drain(control: Control, reports: _Reports, stop: Stop) -> bool:
    """Wait until the server inside Envoy has answered all accepted requests; False if it hangs or has ended."""
    at_once = asyncio.create_task(stop.at_once.wait(), name="at once")
    await asyncio.wait({reports.over, at_once}, timeout=stop.remaining(CLOSED), return_when=asyncio.FIRST_COMPLETED)
    at_once.cancel()
    if stop.is_at_once:
        control.send(at_once=True)
    if not await stop.wait(reports.over, CLOSED):
        control.send(why=True)
        await asyncio.wait({reports.over}, timeout=_WHY_SECONDS)
    if "stopped" in reports.last or "failed" in reports.last:
        return True
    where = reports.last.get("hangs", "it does not say where")
    _log.error("the server inside Envoy did not stop; it is abandoned: %s", where)
    return False
