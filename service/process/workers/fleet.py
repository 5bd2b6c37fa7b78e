"""The workers of one parent: started, watched, started again with a back-off, stopped."""

import asyncio
import logging
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from service.errors import StartupError
from service.metrics.shared.merged_metrics import MergedMetrics
from service.process.signals import how_it_ended
from service.process.stop import KILLED, Stop
from service.process.workers.agreement.agreements import Agreements
from service.process.workers.agreement.flags import Flags
from service.process.workers.agreement.member import Member
from service.process.workers.readiness import tell_crash_loop, unready_reason
from service.process.workers.slot import Slot
from service.process.workers.worker_process import WorkerProcess
from service.quota.levels import Levels
from service.settings import Settings

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
# A worker that is stopped is out within 10 s. A load or a busy machine may delay beats.
_LONGEST_SILENCE_SECONDS = 8.0
# Until its first beat a worker imports its modules.
_LONGEST_START_SECONDS = 60.0
# After a pause of the parent itself, such as a paused container, the silence of the workers means nothing.
_LONGEST_TICK_SECONDS = 2.0
# A worker that took calls for this long did not fail at its start.
_STEADY_SECONDS = 10.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0


class Fleet:
    """The workers. Used on one event loop.

    Args:
        settings: Those of the first workers. `grpc_port` is the shared port, `workers` a number.
        flags: Are shared with the workers.
        levels: How full the buckets of quotas are; shared with the workers too.
        metrics: Keep the counts of workers that ended.
        stop: Ends all workers.

    Attributes:
        agreements: What the workers agree on, with the settings that are in force.
        restarts: How many workers were started in the place of one that ended.
        all_listen: Set once every worker has taken calls.
    """

    def __init__(self, settings: Settings, flags: Flags, levels: Levels, metrics: MergedMetrics, stop: Stop) -> None:
        assert isinstance(settings.workers, int)
        self.restarts = 0
        self.all_listen = asyncio.Event()
        self.agreements = Agreements(settings, flags)
        self._frontend = settings.frontend
        self._shared = (flags, levels)
        self._metrics, self._stop = metrics, stop
        self._starts = count()
        self._slots = [Slot(number) for number in range(settings.workers)]
        self._have_listened: set[int] = set()
        stop.on_abandon(self.kill)

    def pids(self) -> Sequence[int]:
        """The processes of the workers. Any thread may call it."""
        return [pid for slot in self._slots if (process := slot.process) is not None for pid in process.pids]

    @property
    def configured(self) -> int:
        """How many workers there should be."""
        return len(self._slots)

    def listening(self) -> int:
        """How many workers take calls. Any thread may call it."""
        return sum(slot.listening is not None for slot in self._slots)

    def answering(self) -> list[str]:
        """The versions that the first worker answered with when it began to take calls."""
        return next((slot.listening for slot in self._slots if slot.listening is not None), [])

    def unready_reason(self) -> str:
        """Why the server should get no requests; "" if it should."""
        return "draining" if self._stop.asked.is_set() else unready_reason(self._slots)

    async def run(self) -> bool:
        """Run the workers until a stop is asked for, and drain them.

        Returns:
            Whether all of them ended by themselves.

        Raises:
            StartupError: A worker cannot start, and none has ever taken calls.
        """
        keeping = [asyncio.create_task(self._keep(slot), name=f"worker {slot.number}") for slot in self._slots]
        looking = asyncio.create_task(self._look(), name="look after workers")
        stopping = asyncio.create_task(self._stop.asked.wait(), name="stop")
        tasks: list[asyncio.Task[Any]] = [stopping, *keeping, looking]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if stopping not in done:
                for task in done:
                    task.result()  # raises
            return await self._end(keeping)
        finally:
            self._stop.ask()  # no worker that is killed now is started again
            self.kill()
            # asyncio warns of a child whose end it learns after its loop is closed.
            await asyncio.gather(*(slot.process.wait() for slot in self._slots if slot.process is not None))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def kill(self) -> None:
        """Kill all workers. Any thread may call it."""
        for slot in self._slots:
            if (process := slot.process) is not None:
                process.send_signal(signal.SIGKILL)

    async def _end(self, keeping: list["asyncio.Task[None]"]) -> bool:
        """Drain all workers; kill those that do not end in time."""
        self._signal(signal.SIGTERM)
        hurry = asyncio.create_task(self._hurry(), name="second signal")
        ended = asyncio.create_task(_all(keeping), name="workers end")
        if not await self._stop.wait(ended, KILLED):
            _log.error("a worker did not stop; it is killed")
            self.kill()
            await ended
        hurry.cancel()
        # A worker that got the signal before it could handle it has accepted no request.
        return all(slot.code in (0, -signal.SIGTERM) for slot in self._slots)

    async def _hurry(self) -> None:
        """Pass the second signal on."""
        await self._stop.at_once.wait()
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.process is not None:
                slot.process.send_signal(number)

    async def _keep(self, slot: Slot) -> None:
        """Keep one worker running."""
        while not self._stop.asked.is_set():
            began = time.monotonic()
            ended = await self._run_one(slot)
            if self._stop.asked.is_set():
                return
            if slot.failed and not self._have_listened:
                raise StartupError(slot.failed)
            steady = slot.listening is not None and time.monotonic() - slot.listening_at >= _STEADY_SECONDS
            slot.failures = 0 if steady else slot.failures + 1
            pause_seconds = 0.0
            if slot.failures > 1:
                pause_seconds = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** (slot.failures - 2))
            slot.listening, slot.next_at = None, time.monotonic() + pause_seconds
            tell_crash_loop(self._slots)
            _log.error(
                "worker %d%s after %.1f s; it is started again%s",
                *(slot.number, f": {slot.failed}" if slot.failed else f" {ended}", time.monotonic() - began),
                f" in {pause_seconds:g} s" if pause_seconds else "",
            )
            self.restarts += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds):
                    await self._stop.asked.wait()

    async def _run_one(self, slot: Slot) -> str:
        """Run one worker to its end. Gives how it ended."""
        slot.heard_at, slot.has_beaten, slot.told_crash_loop, slot.failed = time.monotonic(), False, False, ""
        folder = self._metrics.folder / str(next(self._starts))
        try:
            process = await WorkerProcess.connect(folder)
        except OSError as error:
            return f"could not be started ({error})"
        # In one turn with its start: what changes from now on, it is told.
        member = self.agreements.add(process.tell)
        try:
            await process.start(self._frontend, self.agreements.given(), *self._shared, slot.number)
        except OSError as error:
            self.agreements.remove(member)
            return f"could not be started ({error})"
        slot.process = process
        listening = asyncio.create_task(self._listen(slot, process, member), name=f"listen to worker {slot.number}")
        try:
            if self._stop.asked.is_set():
                process.send_signal(signal.SIGTERM)
            code = await process.wait()
            await asyncio.wait({listening}, timeout=1)
            slot.code = code
        finally:
            listening.cancel()
            self.agreements.remove(member)
            slot.process = None
            self._metrics.end(folder)
        return how_it_ended(code)

    async def _listen(self, slot: Slot, process: WorkerProcess, member: Member) -> None:
        """Take the messages of one worker."""
        async for message in process.messages():
            slot.heard_at = time.monotonic()
            match message:
                case {"beat": reason}:
                    slot.reason, slot.has_beaten = reason, True
                    if slot.listening is not None and slot.heard_at - slot.listening_at >= _STEADY_SECONDS:
                        slot.failures = 0
                case {"listening": versions}:
                    slot.listening, slot.listening_at = versions, slot.heard_at
                    self._have_listened.add(slot.number)
                    if len(self._have_listened) == len(self._slots):
                        self.all_listen.set()
                case {"pid": pid, "folder": folder}:
                    process.serves_in(pid, folder)
                case {"failed": reason}:
                    slot.failed = reason
                case _:
                    self.agreements.take(member, message)
            tell_crash_loop(self._slots)

    async def _look(self) -> None:
        """Kill workers that say nothing, for example because they are stopped or their event loop hangs."""
        looked_at = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            for slot in self._slots:
                if now - looked_at > _LONGEST_TICK_SECONDS:
                    slot.heard_at = now
                longest = _LONGEST_SILENCE_SECONDS if slot.has_beaten else _LONGEST_START_SECONDS
                if slot.process is not None and now - slot.heard_at > longest:
                    _log.error("worker %d has said nothing for %.1f s; it is killed", slot.number, now - slot.heard_at)
                    slot.process.send_signal(signal.SIGKILL)
            looked_at = now


async def _all(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Wait until all tasks have ended."""
    await asyncio.gather(*tasks)
