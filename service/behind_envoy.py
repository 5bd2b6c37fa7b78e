"""kan-serve with the Envoy front end: starts Envoy with the server inside it, watches over both, drains them.

Small on purpose: no model, no onnxruntime and no gRPC are in this process.
"""

import asyncio
import http.client
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from service.control import FD_VARIABLE, SETTINGS_VARIABLE, Control
from service.errors import StartupError
from service.frontends import envoy
from service.frontends.envoy import EnvoyProcess
from service.settings import Settings
from service.signals import signals

_log = logging.getLogger(__name__)

_APPLICATION = "service.inside_envoy:application"
# As in server.py: what callers get to read their answers, once all are computed or refused.
_LAST_WORDS_SECONDS = 5.0
# What the server inside gets beyond its own bounds before it is given up.
_PATIENCE_SECONDS = 10.0


async def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until a signal stops it (signals.py), then drain; a second signal ends the drain at once.

    Args:
        settings: What to serve, and where.
        announce: Gets one line once models are loaded, for scripts to wait for: the ports and what answers.

    Raises:
        StartupError: The server cannot start, or Envoy ended by itself.
    """
    stop, at_once = signals()
    async with _running(settings) as (process, control):
        control.send(port=process.port)
        reports = _Reports(control, announce)
        stopping = asyncio.create_task(stop.wait(), name="stop")
        ended = asyncio.create_task(process.wait(), name="envoy")
        try:
            await asyncio.wait({stopping, ended, reports.over}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                raise await reports.why(ended)
            control.send(stop=True)
            with _admin_may_be_gone():
                await process.discourage()
            await _drained(settings, control, reports, at_once)
            with _admin_may_be_gone():
                await _flushed(process, at_once)
        finally:
            for task in (stopping, ended):
                task.cancel()
            await reports.close()


@contextmanager
def _admin_may_be_gone() -> Iterator[None]:
    """Envoy may end, or be too busy to answer, while it is drained: what is left of the drain goes on."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        _log.warning("Envoy's admin API does not answer: %r", error)


@asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[tuple[EnvoyProcess, Control]]:
    """An Envoy with the server inside it, and the line to that server."""
    ours, theirs = socket.socketpair()
    control = await Control.on_socket(ours)
    try:
        try:
            with theirs:
                theirs.set_inheritable(True)
                process = await envoy.start(
                    _APPLICATION,
                    settings,
                    pass_fds=[theirs.fileno()],
                    environment={FD_VARIABLE: str(theirs.fileno()), SETTINGS_VARIABLE: settings.model_dump_json()},
                )
        except StartupError as error:
            # The server inside knows better why than Envoy's exit code.
            async for report in control.messages():
                if "failed" in report:
                    raise StartupError(report["failed"]) from error
            raise
        try:
            yield process, control
        finally:
            await process.end()
    finally:
        control.close()


class _Reports:
    """What the server inside Envoy says.

    Attributes:
        over: Done once it says no more: it has stopped, failed or gone.
        failed: Why it cannot serve; "" where it can.
    """

    def __init__(self, control: Control, announce: Callable[[str], None]) -> None:
        self.failed = ""
        self._announce = announce
        self.over = asyncio.create_task(self._listen(control), name="reports")

    async def _listen(self, control: Control) -> None:
        async for report in control.messages():
            if "ready" in report:
                self._announce(report["ready"])
            else:
                self.failed = report.get("failed", "")
                return

    async def why(self, ended: "asyncio.Task[int]") -> StartupError:
        """What there is to say where the server ended by itself."""
        await asyncio.wait({self.over}, timeout=1)
        if self.failed:
            return StartupError(self.failed)
        await asyncio.wait({ended}, timeout=1)
        code = f" with code {ended.result()}" if ended.done() else ""
        return StartupError(f"Envoy or the server inside it ended by itself{code}")

    async def close(self) -> None:
        self.over.cancel()
        await asyncio.gather(self.over, return_exceptions=True)


async def _flushed(process: EnvoyProcess, at_once: asyncio.Event) -> None:
    """Wait until callers have read their answers, or for a second signal."""
    flush = asyncio.create_task(process.flush(_LAST_WORDS_SECONDS), name="flush")
    cut = asyncio.create_task(at_once.wait(), name="at once")
    try:
        await asyncio.wait({flush, cut}, return_when=asyncio.FIRST_COMPLETED)
        if flush.done():
            flush.result()
    finally:
        for task in (flush, cut):
            task.cancel()
        await asyncio.gather(flush, cut, return_exceptions=True)


async def _drained(settings: Settings, control: Control, reports: _Reports, at_once: asyncio.Event) -> None:
    """Wait until the server inside has answered all that it accepted."""
    cut = asyncio.create_task(at_once.wait(), name="at once")
    longest = settings.grace_seconds + _LAST_WORDS_SECONDS + _PATIENCE_SECONDS
    waited: set[asyncio.Task[Any]] = {reports.over, cut}
    try:
        await asyncio.wait(waited, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
        if cut.done():
            control.send(at_once=True)
            await asyncio.wait({reports.over}, timeout=_PATIENCE_SECONDS)
        if not reports.over.done():
            _log.error("the server inside Envoy did not stop; it is ended")
    finally:
        cut.cancel()
        await asyncio.gather(cut, return_exceptions=True)
