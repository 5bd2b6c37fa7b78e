"""A worker process: one server without an HTTP port. `worker_process` starts it as a module."""

import asyncio
import logging
import os
import shutil
import signal
import socket
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

# Set before gRPC is imported; see service/cli.py.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")

from service.errors import StartupError
from service.metrics.shared.worker_metrics import WorkerMetrics
from service.process import life, log, server, standard_streams
from service.process.stop import LEFT, Stop
from service.process.workers.flags import Flags
from service.process.workers.late_front import LateFront
from service.process.workers.messages import Start, WorkerControl
from service.process.workers.worker_versions import WorkerVersions
from service.registry.registry import Registry
from service.settings import Settings

_log = logging.getLogger(__name__)

_BEAT_SECONDS = 0.5
_LOG_SECONDS = 0.2
# Between the two signals that end a worker without its parent: signals of one kind that wait are one.
_SIGNAL_SECONDS = 0.2


def run() -> NoReturn:
    """Serve until a signal, and end the process without a wait for threads that hang."""
    standard_streams.open_closed()
    code = 1
    try:
        start = Start.found()
        settings = start.read_settings()
        log.set_up(settings.log_format)
        code = life.run(partial(_serve, start, settings), settings.grace_seconds, life.new_fast_loop(), last=True)
    except StartupError:
        pass  # the parent was told, and logs it
    except BaseException:
        _log.critical("a worker broke", exc_info=True)
    life.leave(code)


async def _serve(start: Start, settings: Settings, stop: Stop) -> bool:
    control = WorkerControl(socket.socket(fileno=start.control))
    versions = WorkerVersions(control.send, Flags(start.flags))
    may_listen = asyncio.Event()
    obey = partial(_obey, control, asyncio.get_running_loop(), partial(_take, versions, may_listen), start.folder)
    threading.Thread(target=obey, name="orders", daemon=True).start()
    metrics = WorkerMetrics(Path(start.folder))
    try:
        started = await server.start(settings, LateFront.start, metrics=metrics, agreement=versions, has_probes=False)
        beats = asyncio.create_task(_beat(control, started.registry, metrics), name="beats")
        try:
            return await server.run(started, settings, partial(_listen, control, may_listen), stop)
        finally:
            beats.cancel()
            await asyncio.gather(beats, return_exceptions=True)
    except StartupError as error:
        control.send(failed=str(error))
        raise
    finally:
        metrics.close()


async def _listen(control: WorkerControl, may_listen: asyncio.Event, started: server.Server) -> None:
    """Ask the parent for leave to take calls, and listen."""
    control.send(**{"loaded all": True})
    await may_listen.wait()
    assert isinstance(started.front, LateFront)
    await started.front.listen()
    control.beat(started.registry.unready_reason())
    control.send(listening=server.versions_that_answer(started.registry))


async def _beat(control: WorkerControl, registry: Registry, metrics: WorkerMetrics) -> None:
    while True:
        control.beat(registry.unready_reason())
        metrics.flush()
        await asyncio.sleep(_BEAT_SECONDS)


def _take(versions: WorkerVersions, may_listen: asyncio.Event, order: dict[str, Any]) -> None:
    if "listen" in order:
        may_listen.set()
    else:
        versions.take(order)


def _obey(control: WorkerControl, loop: asyncio.AbstractEventLoop, take: Any, folder: str) -> None:
    """Carry out the orders of the parent. If the parent ends, end in its place, within 2 s."""
    for order in control.messages():
        try:
            loop.call_soon_threadsafe(take, order)
        except RuntimeError:  # the loop is closed: this process is ending
            return
    shutil.rmtree(Path(folder).parent, ignore_errors=True)
    threading.Thread(target=_log.error, args=("kan-serve has gone: stopping at once",), daemon=True).start()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SIGNAL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LEFT.after_at_once_seconds)
    os.kill(os.getpid(), signal.SIGKILL)  # something hangs


if __name__ == "__main__":
    run()
