"""The plain HTTP ports of a server: one for health and metrics, or one for each."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from service.process.probes import Probes
from service.settings import Settings

# An operator may have set nothing: TLS and tokens alone give metrics a port.
_METRICS_FLAG = "--metrics-port (with TLS or tokens, metrics have a port of their own)"


class HttpPorts:
    """Listens on both ports. Created on the event loop that the probes watch; ends with :meth:`close`.

    Args:
        settings: Address and ports.
        registry: The metrics.
        unready_reason: As for :class:`service.process.probes.Probes`.

    Attributes:
        port: Of health.
        metrics_port: Of metrics, if that is another; else None.

    Raises:
        StartupError: The server cannot listen on a port.
    """

    def __init__(self, settings: Settings, registry: CollectorRegistry, unready_reason: Callable[[], str]) -> None:
        def listen(port: int, port_flag: str, shown: CollectorRegistry | None) -> Probes:
            return Probes(
                host=settings.host, port=port, port_flag=port_flag, registry=shown, unready_reason=unready_reason
            )

        apart_port = settings.apart_metrics_port
        self._metrics = None if apart_port is None else listen(apart_port, _METRICS_FLAG, registry)
        self._health = listen(settings.http_port, "--http-port", registry if apart_port is None else None)
        self.port = self._health.port
        self.metrics_port = None if self._metrics is None else self._metrics.port

    async def close(self) -> None:
        """Stop answering."""
        await self._health.close()
        if self._metrics is not None:
            await self._metrics.close()
