"""What runs inside Envoy: the ASGI application that pyvoy loads. behind_envoy.py starts it and says when to stop."""

import asyncio
import json
import logging
import os
import shutil
import signal
from collections.abc import Mapping
from typing import Any

from service import log, server
from service.control import FD_VARIABLE, FOLDER_VARIABLE, SETTINGS_VARIABLE, Control
from service.errors import StartupError
from service.frontends.asgi import AsgiFront
from service.frontends.open_call import Receive, Scope, Send
from service.metrics import Metrics
from service.rpc import Method
from service.settings import Settings

_log = logging.getLogger(__name__)


class Application:
    """One server as an ASGI application: its life is the lifespan, each call goes to the front."""

    _front: AsgiFront

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, or live."""
        if scope["type"] == "http":
            await self._front(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start before Envoy listens, and end with it."""
        await receive()
        settings = Settings(**json.loads(os.environ[SETTINGS_VARIABLE]))
        log.set_up(settings.log_format)
        asyncio.get_running_loop().set_exception_handler(_report)
        control = await Control.on_descriptor(int(os.environ[FD_VARIABLE]))
        orders = _Orders()
        obeying = asyncio.create_task(_obey(control, orders), name="obey")
        try:
            await self._live_under(control, orders, settings, receive, send)
        finally:
            obeying.cancel()
            await asyncio.gather(obeying, return_exceptions=True)

    async def _live_under(
        self, control: Control, orders: "_Orders", settings: Settings, receive: Receive, send: Send
    ) -> None:
        """Start, serve, and end with Envoy."""
        try:
            started = await server.start(settings, self._start_front)
        except StartupError as error:
            control.send(failed=str(error))
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        serving = asyncio.create_task(self._serve(started, settings, control, orders), name="serve")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        orders.end()  # Envoy is ending: it waits for nobody, and for this application for ever
        await serving
        await send({"type": "lifespan.shutdown.complete"})

    async def _start_front(self, methods: Mapping[str, Method], metrics: Metrics, settings: Settings) -> AsgiFront:
        self._front = AsgiFront(
            methods, metrics, max_message_bytes=settings.max_message_bytes, compression=settings.compression
        )
        return self._front

    async def _serve(self, started: server.Server, settings: Settings, control: Control, orders: "_Orders") -> None:
        """Serve until told to stop, and say how it ended."""

        async def loaded(loaded_server: server.Server) -> None:
            self._front.port = await orders.port
            control.send(ready=server.summary(loaded_server, settings.host))

        try:
            await server.run(started, settings, loaded, orders.stop, orders.at_once)
            control.send(stopped=True)
        except StartupError as error:
            control.send(failed=str(error))
        except Exception as error:  # kan-serve waits for word, and would for ever
            _log.exception("the server broke")
            control.send(failed=f"the server broke: {error!r}")


class _Orders:
    """What the server was told.

    Attributes:
        port: Where Envoy listens, once it does.
        stop, at_once: Set when the server is to drain, and when it is to wait for nobody.
    """

    def __init__(self) -> None:
        self.port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.stop, self.at_once = asyncio.Event(), asyncio.Event()

    def take(self, order: Mapping[str, Any]) -> None:
        """Note one order."""
        if "port" in order:
            self.port.set_result(order["port"])
        if "stop" in order:
            self.stop.set()
        if "at_once" in order:
            self.at_once.set()

    def end(self) -> None:
        """Stop, and wait for nobody."""
        self.stop.set()
        self.at_once.set()


async def _obey(control: Control, orders: _Orders) -> None:
    """Note what kan-serve orders; once it has gone, nobody else would end Envoy."""
    try:
        async for order in control.messages():
            orders.take(order)
        _log.error("kan-serve has gone: stopping at once")
    except Exception:
        _log.exception("kan-serve sent what is no order: stopping at once")
    orders.end()
    shutil.rmtree(os.environ.get(FOLDER_VARIABLE, ""), ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what nobody caught, but for one thing: pyvoy still answers receive() where the call was cancelled."""
    handle = repr(context.get("handle"))
    pyvoys = "_pyvoy" in handle or "Future.set_" in handle
    if not (pyvoys and isinstance(context.get("exception"), asyncio.InvalidStateError)):
        loop.default_exception_handler(context)


application = Application()
