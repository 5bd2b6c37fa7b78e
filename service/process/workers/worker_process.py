"""One worker as the parent process sees it: a process, its messages, and the folder of its metrics."""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.frontends.envoy.control import Control
from service.process.workers.agreement.flags import Flags
from service.process.workers.folder import remove_abandoned
from service.process.workers.messages import Given, Start, in_memory
from service.quota.levels import Levels

# A killed process holds its locks for a moment. The removal of its folder may take longer than the next worker waits.
_REMOVAL_SECONDS, _WAIT_SECONDS = 1.0, 0.2

_MODULES = {"grpcio": "service.process.workers.worker", "envoy": "service.process.envoy.worker"}


class WorkerProcess:
    """A worker. Made by :meth:`connect`, and started by :meth:`start`.

    Attributes:
        folder: Has its metrics; the worker makes it.
        tell: Sends it a message; one that is sent before the start waits for it.
    """

    _process: asyncio.subprocess.Process

    def __init__(self, control: Control, theirs: socket.socket, folder: Path) -> None:
        self.folder = folder
        self.tell = control.send
        self._inner_pid = 0
        self._inner: int | None = None
        self._inner_folder = ""
        self._control = control
        self._theirs = theirs

    @classmethod
    async def connect(cls, folder: Path) -> "WorkerProcess":
        """One that may be told things already.

        Args:
            folder: Will have its metrics.

        Raises:
            OSError: There is no room for another connection.
        """
        ours, theirs = socket.socketpair()
        return cls(await Control.on_socket(ours), theirs, folder)

    async def start(self, frontend: str, given: Given, flags: Flags, levels: Levels, number: int) -> None:
        """Start its process.

        Args:
            frontend: Its front end.
            given: What it starts with.
            flags: Those of the parent.
            levels: Those of the quotas.
            number: Its place among the workers.

        Raises:
            OSError: There is no room for another process.
        """
        try:
            with self._theirs, in_memory(given) as in_force:
                shared = (flags.descriptor, levels.descriptor, in_force)
                start = Start(self._theirs.fileno(), *shared, str(self.folder), number)
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", _MODULES[frontend]),
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **start.environment()},
                    pass_fds=start.descriptors,
                    start_new_session=True,  # otherwise Ctrl-C would reach a worker before its parent
                )
        except BaseException:
            self._control.close()
            raise

    @property
    def pids(self) -> set[int]:
        """Its processes."""
        return {self._process.pid, self._inner_pid or self._process.pid}

    def serves_in(self, pid: int, folder: str) -> None:
        """Note the process that serves, as that one says: with Envoy a child of the worker's, with a folder."""
        self._inner_pid, self._inner_folder = pid, folder
        if self._inner is None and pid != self._process.pid:
            with suppress(OSError):  # it has ended, or the system does not allow this
                self._inner = os.pidfd_open(pid)

    def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What it sends, until it ends."""
        return self._control.messages()

    async def wait(self) -> int:
        """Wait until it has ended. Gives its exit code, or the number of the signal that killed it, negative.

        An Envoy whose watcher was killed is killed too. Otherwise Envoy would answer for up to 2 s more. The parent no
        longer counts this worker, so a caller of two workers could see a version go back. Its folder, which may hold a
        private key, is removed.
        """
        code = await self._process.wait()
        inner, self._inner = self._inner, None
        if inner is not None:
            with suppress(OSError):  # it has ended
                signal.pidfd_send_signal(inner, signal.SIGKILL)
            os.close(inner)
        self._control.close()
        if inner is not None:
            removal = threading.Thread(
                target=remove_abandoned, args=(Path(self._inner_folder), _REMOVAL_SECONDS), daemon=True
            )
            removal.start()
            await asyncio.to_thread(removal.join, _WAIT_SECONDS)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to a worker that runs, SIGKILL also to an Envoy of it. Any thread may call it."""
        if self._process.returncode is None:
            for pid in self.pids if number is signal.SIGKILL else (self._process.pid,):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
