"""One worker's ties to its parent: its messages, its counts, and its end when the parent ends."""

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from service.access.reloaded import LastValid
from service.frontends.envoy.control import FOLDER_VARIABLE
from service.metrics.shared.worker_metrics import WorkerMetrics
from service.process.server import versions_that_answer
from service.process.stop import LEFT, Stop
from service.process.workers.agreement.flags import Flags
from service.process.workers.agreement.worker_orders import WorkerOrders
from service.process.workers.agreement.worker_versions import WorkerVersions
from service.process.workers.folder import remove_abandoned
from service.process.workers.messages import Start, WorkerControl
from service.quota.levels import Levels
from service.registry.registry import Registry

_log = logging.getLogger(__name__)

_BEAT_SECONDS = 0.5
# Between the two signals that end a worker without its parent: signals of one kind that wait are one.
_SIGNAL_SECONDS = 0.2
# The kernel closes the connections of a killed process before it releases its locks. On a busy machine more than
# a tenth of a second passed between the two. The wait begins at the first signal, so it ends before SIGKILL.
_LOCK_SECONDS = 1.0


class Membership:
    """The ties of this process. Created on the event loop that serves.

    Args:
        start: What the parent has given.
        stop: Is asked for an end at once when the parent ends.

    Attributes:
        metrics: Get the counts.
        versions: The agreement with the other workers.
        levels: How full the buckets of quotas are.
    """

    def __init__(self, start: Start, stop: Stop) -> None:
        self._stop = stop
        self._control = WorkerControl(socket.socket(fileno=start.control))
        self._flags, self.levels = Flags(start.flags), Levels(start.levels)
        self._folder = Path(start.folder)
        self._may_listen = asyncio.Event()
        self._beats: asyncio.Task[None] | None = None
        self._removal: threading.Thread | None = None
        self._loop = asyncio.get_running_loop()
        self.metrics = WorkerMetrics(self._folder)
        self._given = start.read_given()
        os.close(start.given)
        self.versions = WorkerVersions(self._control.send, self._flags, self._given.unloaded)
        self._orders = WorkerOrders(self._control.send, self._flags, self.versions, self._leave)
        self._control.send(pid=os.getpid(), folder=os.environ.get(FOLDER_VARIABLE, ""))
        threading.Thread(target=self._obey, name="orders of the parent", daemon=True).start()

    def last_valid(self, kind: str) -> LastValid:
        """What the parent has of the files of a kind. It hears of each valid content."""

        def tell(content: Sequence[bytes]) -> None:
            said = partial(self._control.send, valid=[kind, [b64encode(each).decode() for each in content]])
            with suppress(RuntimeError):  # the loop is closed: this process is ending
                self._loop.call_soon_threadsafe(said)  # messages of two threads could mix

        return LastValid(self._given.last_valid(kind), tell)

    def beat(self, registry: Registry) -> None:
        """Tell the parent twice a second that the event loop turns, and why the server is not ready. Obey it."""
        self._orders.begin(registry)
        self._beats = asyncio.create_task(self._beat(registry), name="beats")

    async def may_take_calls(self) -> None:
        """Report that everything is loaded, and wait for leave to take calls."""
        self._control.send(**{"loaded all": True})
        await self._may_listen.wait()

    def takes_calls(self, registry: Registry) -> None:
        """Report that this worker listens."""
        self._control.beat(registry.unready_reason())
        self.metrics.takes_calls()
        self._control.send(listening=versions_that_answer(registry))

    def failed(self, reason: str) -> None:
        """Report why this worker ends."""
        self._control.send(failed=reason)

    async def close(self) -> None:
        """End the beats and the orders, and write the last counts. Without a parent, wait until they are removed."""
        if self._beats is not None:
            self._beats.cancel()
            await asyncio.gather(self._beats, return_exceptions=True)
        await self._orders.close()
        self.metrics.close()
        if self._removal is not None:
            await asyncio.to_thread(self._removal.join)

    async def _beat(self, registry: Registry) -> None:
        while True:
            self._control.beat(registry.unready_reason())
            self.metrics.flush()
            await asyncio.sleep(_BEAT_SECONDS)

    def _take(self, order: dict[str, Any]) -> None:
        if "listen" in order:
            if order["listen"] == self.versions.lefts:
                self._may_listen.set()
            else:  # the parent did not know yet what this worker has left
                self._control.send(**{"loaded all": True})
        elif "do" in order:
            self._orders.take(*order["do"])
        else:
            self.versions.take(order)

    def _leave(self, reason: str) -> None:
        """End this worker; the parent starts another one in its place."""
        self.failed(reason)
        os.kill(os.getpid(), signal.SIGTERM)

    def _obey(self) -> None:
        """Carry out the orders of the parent. If the parent ends, end in its place, within 2 s."""
        why = "kan-serve has gone"
        try:
            for order in self._control.messages():
                try:
                    self._loop.call_soon_threadsafe(self._take, order)
                except RuntimeError:  # the loop is closed: this process is ending
                    return
        except Exception as error:
            why = f"kan-serve sent an invalid order ({error!r})"
        try:
            # All workers share this folder. The parent may live, and may have hung up on this worker alone.
            removal = threading.Thread(target=remove_abandoned, args=(self._folder.parent, _LOCK_SECONDS), daemon=True)
            removal.start()
            self._removal = removal  # before the first signal: `close` waits for it
            threading.Thread(target=_log.error, args=("%s: stopping at once", why), daemon=True).start()
        finally:  # also if the system gives no more threads
            with suppress(RuntimeError):  # the loop is closed: this process is ending
                self._stop.ask_at_once()  # before the signals: the first one alone would begin a drain
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_SIGNAL_SECONDS)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(LEFT.after_at_once_seconds)
            os.kill(os.getpid(), signal.SIGKILL)  # something hangs
