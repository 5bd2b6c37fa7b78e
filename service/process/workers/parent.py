"""kan-serve with several workers: the parent process starts and watches them, and has the HTTP port.

It has no model, no onnxruntime and no gRPC.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.metrics.shared.merged_metrics import MergedMetrics
from service.metrics.shared.processes import Processes
from service.process.probes import Probes
from service.process.ready_line import ready_line
from service.process.stop import Stop
from service.process.workers.flags import Flags
from service.process.workers.fleet import Fleet
from service.process.workers.folder import counts_folder
from service.process.workers.port import SharedPort
from service.settings import Settings


async def serve(settings: Settings, announce: Callable[[str], None], stop: Stop) -> bool:
    """As :func:`service.process.server.serve`, with `settings.workers` processes.

    Returns:
        Whether everything ended. False if a worker hung and was killed.

    Raises:
        StartupError: The server cannot start.
    """
    with ExitStack() as stack:
        port = SharedPort.hold(settings.host, settings.grpc_port)
        stack.callback(port.close)
        flags = Flags()
        stack.callback(flags.close)
        folder = stack.enter_context(counts_folder())
        metrics = MergedMetrics(folder)
        fleet = Fleet(settings.model_copy(update={"grpc_port": port.number}), flags, metrics, stop)
        metrics.registry.register(Processes(fleet.pids))
        metrics.registry.register(_WorkerCounts(fleet))
        probes = Probes(
            host=settings.host,
            port=settings.http_port,
            registry=metrics.registry,
            unready_reason=fleet.unready_reason,
        )
        announcing = asyncio.create_task(
            _announce(settings, fleet, port.number, probes.port, announce), name="announce"
        )
        try:
            return await fleet.run()
        finally:
            announcing.cancel()
            await asyncio.gather(announcing, return_exceptions=True)
            await probes.close()


class _WorkerCounts(Collector):
    """The metrics of the parent itself."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        yield GaugeMetricFamily("kan_workers", "Worker processes that take calls.", self._fleet.listening())
        yield CounterMetricFamily(
            "kan_worker_restarts_total", "Worker processes started in the place of one.", self._fleet.restarts
        )


async def _announce(
    settings: Settings, fleet: Fleet, port: int, http_port: int, announce: Callable[[str], None]
) -> None:
    """Announce the ports and the versions that answer, once every worker takes calls."""
    await fleet.all_listen.wait()
    is_ready = not fleet.unready_reason()
    announce(ready_line(settings.host, port, http_port, fleet.answering(), is_ready=is_ready))
