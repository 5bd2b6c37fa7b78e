"""What runs inside Envoy: the ASGI application that pyvoy loads. envoy_parent.py starts it and says when to stop."""

import asyncio
import json
import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

from service.errors import StartupError
from service.frontends.asgi.application import AsgiFront
from service.frontends.asgi.open_call import Receive, Scope, Send
from service.frontends.envoy.control import FD_VARIABLE, FOLDER_VARIABLE, SETTINGS_VARIABLE, BlockingControl
from service.metrics.metrics import Metrics
from service.process import log, server
from service.process.stop import LEFT, Stop
from service.process.threads import where_threads_are, within
from service.rpc.admission import bounds
from service.rpc.calls import Method
from service.settings import Settings

_log = logging.getLogger(__name__)

_LOG_SECONDS = 0.2


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
        control = BlockingControl(socket.socket(fileno=int(os.environ[FD_VARIABLE])))
        orders = _Orders(settings.grace_seconds)
        # In a thread, so that orders come while a run holds up the event loop.
        threading.Thread(target=_obey, args=(control, orders), name="orders", daemon=True).start()
        await self._live_under(control, orders, settings, receive, send)

    async def _live_under(
        self, control: BlockingControl, orders: "_Orders", settings: Settings, receive: Receive, send: Send
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
        orders.stop.ask_at_once()  # Envoy is ending: it waits for nobody, and for this application for ever
        await serving
        await send({"type": "lifespan.shutdown.complete"})

    async def _start_front(self, methods: Mapping[str, Method], metrics: Metrics, settings: Settings) -> AsgiFront:
        self._front = AsgiFront(
            *(methods, metrics),
            bounds=bounds(settings),
            max_message_bytes=settings.max_message_bytes,
            compression=settings.compression,
        )
        return self._front

    async def _serve(
        self, started: server.Server, settings: Settings, control: BlockingControl, orders: "_Orders"
    ) -> None:
        """Serve until told to stop, and say how it ended."""

        async def loaded(loaded_server: server.Server) -> None:
            self._front.port = await orders.port
            control.send(ready=server.summary(loaded_server, settings.host))

        try:
            whole = await server.run(started, settings, loaded, orders.stop)
            control.send(**({"stopped": True} if whole else {"hangs": where_threads_are()}))
        except StartupError as error:
            control.send(failed=str(error))
        except Exception as error:  # kan-serve waits for word, and would for ever
            _log.exception("the server broke")
            control.send(failed=f"the server broke: {error!r}")


class _Orders:
    """What the server was told; made on its event loop, told in another thread.

    Attributes:
        port: Where Envoy listens, once it does.
        stop: Is asked for when the server is to drain.
    """

    def __init__(self, grace_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.port: asyncio.Future[int] = self._loop.create_future()
        self.stop = Stop(grace_seconds)
        self.stop.listen()

    def take(self, order: Mapping[str, Any]) -> None:
        """Note one order."""
        if "port" in order:
            self._loop.call_soon_threadsafe(self.port.set_result, order["port"])
        if "stop" in order:
            self.stop.ask(order["stop"])
        if "at_once" in order:
            self.stop.ask_at_once()


def _obey(control: BlockingControl, orders: _Orders) -> None:
    """Note what kan-serve orders; once it has gone, nobody else would end Envoy, nor remove its folder."""
    try:
        for order in control.messages():
            orders.take(order)
            if "why" in order:
                control.send(hangs=where_threads_are())
        why = "kan-serve has gone"
    except Exception as error:
        why = f"kan-serve sent what is no order ({error!r})"
    orders.stop.ask_at_once()
    shutil.rmtree(os.environ.get(FOLDER_VARIABLE, ""), ignore_errors=True)
    within(_LOG_SECONDS, lambda: _log.error("%s: stopping at once", why))
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LEFT.after_at_once_seconds)
    os.kill(os.getpid(), signal.SIGKILL)  # Envoy, or the server inside it, hangs


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what nobody caught, but for one thing: pyvoy still answers receive() where the call was cancelled."""
    handle = repr(context.get("handle"))
    pyvoys = "_pyvoy" in handle or "Future.set_" in handle
    if not (pyvoys and isinstance(context.get("exception"), asyncio.InvalidStateError)):
        loop.default_exception_handler(context)


application = Application()
