"""The server inside Envoy, as an ASGI application that pyvoy loads. parent.py starts it and tells it to stop."""

import asyncio
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.access.certificates import Certificates
from service.access.reloaded import ReloadedFiles
from service.cores import use_all_cores
from service.errors import StartupError
from service.frontends.asgi.application import AsgiFront
from service.frontends.asgi.open_call import Receive, Scope, Send
from service.frontends.envoy import tls, token_gate
from service.frontends.envoy.control import (
    FD_VARIABLE,
    FOLDER_VARIABLE,
    SETTINGS_VARIABLE,
    SOURCES_VARIABLE,
    BlockingControl,
)
from service.metrics.metrics import Metrics
from service.process import life, server
from service.process.output import log
from service.process.reload import Reload
from service.process.stop import LEFT, Stop
from service.process.threads import where_threads_are, within
from service.process.workers.folder import remove
from service.rpc.bounds import bounds
from service.rpc.calls import Method
from service.rpc.entrance import Entrance
from service.settings import Settings, Sources

if TYPE_CHECKING:
    from service.process.workers.membership import Membership
    from service.process.workers.messages import Start

_log = logging.getLogger(__name__)

_LOG_SECONDS = 0.2


class Application:
    """One server as an ASGI application: ASGI's lifespan starts and stops it, and the front end answers each call."""

    _front: AsgiFront

    def __init__(self) -> None:
        # Envoy listens when this is set: at once, or when a worker among several may take calls.
        self._may_listen = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, or run the lifespan."""
        if scope["type"] == "http":
            await self._front(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start before Envoy listens, and end when Envoy ends."""
        await receive()
        settings = Settings(**json.loads(os.environ[SETTINGS_VARIABLE]))
        worker = None
        if settings.workers != 1:
            from service.process.workers.messages import Start

            worker = Start.found()
        log.set_up(settings.log_format, worker.number if worker else None)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_report)
        loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio", initializer=use_all_cores))
        control = BlockingControl(socket.socket(fileno=int(os.environ[FD_VARIABLE])))
        orders = _Orders(settings)
        # The parent of several workers reports itself that the process that watches this Envoy has ended.
        why = "" if worker else "kan-serve has gone"
        # In a thread, so that orders are read while a run blocks the event loop.
        threading.Thread(target=_obey, args=(control, orders, why), name="orders", daemon=True).start()
        await self._live_under(control, orders, settings, worker, receive, send)

    async def _live_under(
        self,
        control: BlockingControl,
        orders: "_Orders",
        settings: Settings,
        worker: "Start | None",
        receive: Receive,
        send: Send,
    ) -> None:
        """Start, serve, and end when Envoy ends. A start that fails, which was reported, ends Envoy.

        ASGI's "lifespan.startup.failed" would end it too, with five lines of Envoy's own before the reason.
        """
        membership = None
        if worker is not None:
            from service.process.workers.membership import Membership

            membership = Membership(worker, orders.stop)
        try:
            started = await server.start(settings, self._start_front, membership)
        except StartupError as error:
            control.send(failed=str(error))
            life.leave(1)
        if membership is not None:
            membership.beat(started.registry)
        serving = asyncio.create_task(self._serve(started, settings, control, orders, membership), name="serve")
        may_listen = asyncio.create_task(self._may_listen.wait(), name="may listen")
        await asyncio.wait({serving, may_listen}, return_when=asyncio.FIRST_COMPLETED)
        may_listen.cancel()
        if not self._may_listen.is_set():
            life.leave(1)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        orders.stop.ask_at_once()  # Envoy is ending: it answers no calls any more, but waits for this application
        await serving
        if membership is not None:
            await membership.close()
        within(_LOG_SECONDS, log.finish)
        await send({"type": "lifespan.shutdown.complete"})

    async def _start_front(
        self,
        methods: Mapping[str, Method],
        metrics: Metrics,
        entrance: Entrance,
        certificates: ReloadedFiles[Certificates] | None,
        settings: Settings,
    ) -> AsgiFront:
        folder = Path(os.environ[FOLDER_VARIABLE])
        if certificates is not None:
            certificates.on_taken = partial(tls.have_read, settings, folder)
            if certificates.is_current:
                tls.use_files(settings, folder)  # they have become valid since Envoy was started
        entrance.tell_tokens(partial(token_gate.write_tokens, folder))
        self._front = AsgiFront(
            *(methods, metrics, entrance),
            bounds=bounds(settings),
            max_message_bytes=settings.max_message_bytes,
            max_request_rows=settings.max_request_rows,
            compression=settings.compression,
        )
        return self._front

    async def _serve(
        self,
        started: server.Server,
        settings: Settings,
        control: BlockingControl,
        orders: "_Orders",
        membership: "Membership | None",
    ) -> None:
        """Serve until a stop is ordered, and report how it ended."""
        if membership is None:
            self._may_listen.set()

        async def loaded(loaded_server: server.Server) -> None:
            if membership is not None:
                await membership.may_take_calls()
                self._may_listen.set()
            self._front.port = await orders.port
            if membership is not None:
                membership.takes_calls(loaded_server.registry)
            control.send(ready=server.summary(loaded_server, settings))

        try:
            all_ended = await server.run(started, settings, loaded, orders.stop, orders.reload)
            control.send(**({"stopped": True} if all_ended else {"hangs": where_threads_are()}))
        except StartupError as error:
            control.send(failed=str(error))
        except Exception as error:  # without a report kan-serve would wait for ever
            _log.exception("the server broke")
            control.send(failed=f"the server broke: {error!r}")


class _Orders:
    """The orders from kan-serve. Created on the event loop of the server; another thread adds orders.

    Attributes:
        port: The port that Envoy listens on, once it listens.
        stop: The stop that an order asks for.
        reload: Reads the settings file again when an order asks for it; None without a file.
    """

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        self.port: asyncio.Future[int] = self._loop.create_future()
        self.stop = Stop(settings.grace_seconds)
        self.stop.listen()
        self.reload: Reload | None = None
        if SOURCES_VARIABLE in os.environ:
            flags, file = json.loads(os.environ[SOURCES_VARIABLE])
            self.reload = Reload(Sources(flags, Path(file)), settings)

    def take(self, order: Mapping[str, Any]) -> None:
        """Carry out one order."""
        if "port" in order:
            self._loop.call_soon_threadsafe(self.port.set_result, order["port"])
        if "stop" in order:
            self.stop.ask(order["stop"])
        if "reload" in order and self.reload is not None:
            self.reload.request.ask()
        if "at_once" in order:
            self.stop.ask_at_once()


def _obey(control: BlockingControl, orders: _Orders, why: str) -> None:
    """Carry out the orders of the process above. If it ends, end Envoy and remove its folder in its place.

    Args:
        control: The connection to it.
        orders: Are carried out.
        why: Is logged if it ends; "" logs nothing.
    """
    try:
        for order in control.messages():
            orders.take(order)
            if "why" in order:
                control.send(hangs=where_threads_are())
    except Exception as error:
        why = f"kan-serve sent an invalid order ({error!r})"
    orders.stop.ask_at_once()
    remove(Path(os.environ[FOLDER_VARIABLE]))
    if why:
        within(_LOG_SECONDS, lambda: _log.error("%s: stopping at once", why))
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LEFT.after_at_once_seconds)
    os.kill(os.getpid(), signal.SIGKILL)  # Envoy, or the server inside it, hangs


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report uncaught errors, except one of pyvoy: it still answers receive() after its call was cancelled."""
    handle = repr(context.get("handle"))
    is_of_pyvoy = "_pyvoy" in handle or "Future.set_" in handle
    if not (is_of_pyvoy and isinstance(context.get("exception"), asyncio.InvalidStateError)):
        loop.default_exception_handler(context)


application = Application()
