"""Plain HTTP for monitoring: /livez, /readyz and /metrics.

It runs in its own thread, because a probe must answer even when the event loop does not.
"""

import asyncio
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from service.errors import StartupError
from service.frontends.address import advise_on_port, bind

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)

_BEAT_SECONDS = 0.5
# A load, a long run on the event loop or a paused container may delay heartbeats; a loop that hangs has none any more.
_LONGEST_SILENCE_SECONDS = 10.0
_ANSWER_SECONDS = 1.0
_POLL_SECONDS = 0.05


class Probes:
    """The HTTP port of a server. Created on the event loop that it watches.

    Args:
        host: Address or host name to listen on.
        port: Port to listen on; 0 takes a free one.
        port_flag: The flag that chooses the port, for the message if it is taken.
        registry: The metrics for /metrics; None without it. Then answers tell only health, without reasons, which may
            name models.
        unready_reason: Gives the reason why the server is not ready, or "". It is called on the event loop.
        clock: Monotonic seconds.

    Raises:
        StartupError: The server cannot listen on the address.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        port_flag: str,
        registry: CollectorRegistry | None,
        unready_reason: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._unready_reason = unready_reason
        self._clock = clock
        self._metrics: WSGIApplication | None = None if registry is None else make_wsgi_app(registry)
        self._loop = asyncio.get_running_loop()
        self._last_beat = clock()
        try:
            self._servers = [_Server(bound) for bound in bind(host, port)]
        except (OSError, TypeError) as error:  # TypeError: the host is no valid name
            raise StartupError(f"cannot listen for HTTP on {host}:{port}: {_explain(error, port_flag)}") from error
        self.port: int = self._servers[0].server_port
        self._threads = [
            threading.Thread(
                target=server.serve_forever, kwargs={"poll_interval": _POLL_SECONDS}, name="probes", daemon=True
            )
            for server in self._servers
        ]
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.set_app(self._answer)
            thread.start()
        self._heart = asyncio.create_task(self._beat(), name="heartbeat")

    async def close(self) -> None:
        """Stop answering."""
        self._heart.cancel()
        await asyncio.gather(self._heart, return_exceptions=True)
        # This blocks for at most _POLL_SECONDS. The loop's thread pool is not used, because it may be full of calls
        # that hang.
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    async def _beat(self) -> None:
        """Record heartbeats, which show that the event loop runs."""
        while True:
            self._last_beat = self._clock()
            await asyncio.sleep(_BEAT_SECONDS)

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics" and self._metrics is not None:
            return self._metrics(environ, start_response)
        if path == "/livez":
            return self._plain(start_response, self._not_live())
        if path == "/readyz":
            return self._plain(start_response, self._not_live() or self._not_ready())
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        there = "/livez and /readyz" if self._metrics is None else "/metrics, /livez and /readyz"
        return [f"not found; there is {there}\n".encode()]

    def _not_live(self) -> str:
        """Why the server should be restarted; "" if it should not."""
        silence_seconds = self._clock() - self._last_beat
        if silence_seconds <= _LONGEST_SILENCE_SECONDS:
            return ""
        return f"the event loop has not turned for {silence_seconds:.1f} s"

    def _not_ready(self) -> str:
        """Why the server should get no requests; "" if it should. The registry is read on its event loop."""

        async def ask() -> str:
            return self._unready_reason()

        try:
            return asyncio.run_coroutine_threadsafe(ask(), self._loop).result(_ANSWER_SECONDS)
        except (TimeoutError, CancelledError):
            return f"the event loop did not answer within {_ANSWER_SECONDS:g} s"

    def _plain(self, start_response: "StartResponse", reason: str) -> Iterable[bytes]:
        """The status 503 with the reason, if it may be told; without a reason 200."""
        status = "503 Service Unavailable" if reason else "200 OK"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        told = "unavailable" if reason and self._metrics is None else reason or "ok"
        return [f"{told}\n".encode()]


def _explain(error: OSError | TypeError, port_flag: str) -> str:
    """Why an address cannot be listened on, and which flag gives another."""
    reason = getattr(error, "strerror", None) or error
    if advice := advise_on_port(error, port_flag):
        return f"{reason}{advice}"
    return f"{reason}; wanted an address of this machine in --host"


class _Handler(WSGIRequestHandler):
    """Closes a connection whose request is incomplete after 5 s, and logs nothing."""

    timeout = 5

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        pass


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """One thread a request, so that a slow caller delays no probe."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, bound: socket.socket) -> None:
        self.address_family = bound.family
        super().__init__(bound.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        try:
            self.server_activate()
        except BaseException:
            bound.close()
            raise
        self.server_address = bound.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the library's
        # The standard library would print a traceback for each caller that disconnects or times out.
        _log.debug("an HTTP connection failed", exc_info=True)
