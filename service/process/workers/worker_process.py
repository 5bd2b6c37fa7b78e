"""One worker as the parent process sees it: a process, its messages, and the folder of its metrics."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.frontends.envoy.control import Control
from service.process.workers.flags import Flags
from service.process.workers.messages import Start
from service.settings import Settings

_MODULES = {"grpcio": "service.process.workers.worker", "envoy": "service.process.envoy.worker"}


class WorkerProcess:
    """A running worker. Made by :meth:`start`.

    Attributes:
        folder: Has its metrics; the worker makes it.
        tell: Sends it a message.
        inner_pid: The process that serves, as that one says: with Envoy a child of the worker's. 0 before it said so.
    """

    def __init__(self, process: asyncio.subprocess.Process, control: Control, folder: Path) -> None:
        self.folder = folder
        self.inner_pid = 0
        self.tell = control.send
        self._process = process
        self._control = control

    @classmethod
    async def start(cls, settings: Settings, flags: Flags, folder: Path, number: int) -> "WorkerProcess":
        """Start one.

        Args:
            settings: Its settings.
            flags: Those of the parent.
            folder: Will have its metrics.
            number: Its place among the workers.

        Raises:
            OSError: There is no room for another process.
        """
        ours, theirs = socket.socketpair()
        control = await Control.on_socket(ours)
        try:
            with theirs:
                start = Start.of(theirs.fileno(), flags.descriptor, str(folder), number, settings)
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", _MODULES[settings.frontend]),
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **start.environment()},
                    pass_fds=(start.control, start.flags),
                    start_new_session=True,  # otherwise Ctrl-C would reach a worker before its parent
                )
        except BaseException:
            control.close()
            raise
        return cls(process, control, folder)

    @property
    def pids(self) -> set[int]:
        """Its processes."""
        return {self._process.pid, self.inner_pid or self._process.pid}

    def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What it sends, until it ends."""
        return self._control.messages()

    async def wait(self) -> int:
        """Wait until it has ended. Gives its exit code, or the number of the signal that killed it, negative."""
        code = await self._process.wait()
        self._control.close()
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to a worker that runs, SIGKILL also to an Envoy of it. Any thread may call it."""
        if self._process.returncode is None:
            for pid in self.pids if number is signal.SIGKILL else (self._process.pid,):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
