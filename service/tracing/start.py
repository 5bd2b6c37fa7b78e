"""Starts and stops traces, if they are wanted. What sends them is loaded only then."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from service.errors import MissingExtra
from service.tracing.head import Head

if TYPE_CHECKING:
    from service.tracing.exporter import Exporter, Result


class Tracing:
    """The traces of a server, or none.

    Args:
        address: The receiver's, such as http://127.0.0.1:4317; "" if no call is traced.
        share: Of the calls without a traceparent, from 0 to 1.
        count: As for :class:`service.tracing.exporter.Exporter`.

    Attributes:
        head: Decides which calls are traced; None if none is.

    Raises:
        StartupError: The extra [otel] is not installed, or the address cannot be used.
    """

    def __init__(self, address: str, share: float, count: "Callable[[Result, int], None]") -> None:
        self._exporter = _new_exporter(address, count) if address else None
        self.head = None if self._exporter is None else Head(share, self._exporter.put)

    def start(self, host: str, port: Callable[[], int]) -> None:
        """Start to send.

        Args:
            host: Where the server listens.
            port: Gives its port, which may be known only later.
        """
        if self._exporter is not None:
            self._exporter.start(host, port)

    async def stop(self, seconds: float) -> None:
        """Send what is queued, but give up after this time."""
        if self._exporter is not None:
            await self._exporter.stop(seconds)


def _new_exporter(address: str, count: "Callable[[Result, int], None]") -> "Exporter":
    try:
        from service.tracing.exporter import Exporter
    except ModuleNotFoundError as error:
        raise MissingExtra(f"traces need the extra [otel] ({error})", "otel") from error
    return Exporter(address, count)
