"""kan-serve with several workers: the parent process starts and watches them, and has the HTTP port.

It has no model, no onnxruntime and no gRPC.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack

from service.metrics.shared.merged_metrics import MergedMetrics
from service.metrics.shared.processes import Processes, WorkerCounts
from service.process.access import warn_if_open
from service.process.http_ports import HttpPorts
from service.process.output.ready_line import ready_line
from service.process.reload import Reload
from service.process.stop import Stop
from service.process.workers.agreement.flags import Flags
from service.process.workers.fleet import Fleet
from service.process.workers.folder import counts_folder
from service.process.workers.port import SharedPort
from service.quota.levels import Levels
from service.rpc.worker_count import worker_cores
from service.settings import Settings

_log = logging.getLogger(__name__)


async def serve(settings: Settings, announce: Callable[[str], None], stop: Stop, reload: Reload | None = None) -> bool:
    """As :func:`service.process.server.serve`, with `settings.workers` processes.

    Args:
        settings: The settings of the server.
        announce: Gets one line when every worker takes calls.
        stop: Ends all workers.
        reload: Reads the settings file again; None without a file.

    Returns:
        Whether everything ended. False if a worker hung and was killed.

    Raises:
        StartupError: The server cannot start.
    """
    warn_if_open(settings)
    with ExitStack() as stack:
        port = SharedPort.hold(settings.host, settings.grpc_port)
        stack.callback(port.close)
        flags = Flags()
        stack.callback(flags.close)
        levels = Levels()
        stack.callback(levels.close)
        folder = stack.enter_context(counts_folder())
        metrics = MergedMetrics(folder)
        fleet = Fleet(settings.model_copy(update={"grpc_port": port.number}), flags, levels, metrics, stop)
        metrics.registry.register(Processes(fleet.pids))
        metrics.registry.register(WorkerCounts(fleet.listening, fleet.configured, lambda: fleet.restarts))
        http = HttpPorts(settings, metrics.registry, fleet.unready_reason)
        tasks = [asyncio.create_task(_announce(settings, fleet, port.number, http, announce), name="announce")]
        if reload is not None:
            tasks.append(asyncio.create_task(_reload(reload, fleet, metrics), name="reload"))
        try:
            return await fleet.run()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await http.close()


async def _announce(
    settings: Settings, fleet: Fleet, port: int, http: HttpPorts, announce: Callable[[str], None]
) -> None:
    """Announce the ports and the versions that answer, once every worker takes calls."""
    await fleet.all_listen.wait()
    if cores := worker_cores(settings):
        _log.info("each worker is given a core of its own: %s", ", ".join(map(str, cores)))
    is_ready = not fleet.unready_reason()
    line = ready_line(settings, port, http.port, http.metrics_port, fleet.answering(), is_ready=is_ready)
    announce(line)


async def _reload(reload: Reload, fleet: Fleet, metrics: MergedMetrics) -> None:
    """Read the settings file again, once every worker takes calls."""
    await fleet.all_listen.wait()
    await reload.run(fleet.agreements.settings.adopt, metrics.reloads.note)
