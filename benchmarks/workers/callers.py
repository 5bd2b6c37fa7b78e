"""Callers that ask a server in short slices, on connections that they keep."""

import time
from collections.abc import Sequence

from benchmarks.common.answers import Answers
from benchmarks.common.http2 import Connection
from benchmarks.common.load import ask, wait
from benchmarks.common.served_models import PREDICT, ServedModel


class Callers:
    """Callers that send one row each, and wait for the answer before the next request.

    Args:
        addresses: "host:port" of each connection; the callers share the connections evenly.
        model: The model that it serves.
        count: Number of callers.
    """

    def __init__(self, addresses: Sequence[str], model: ServedModel, count: int) -> None:
        exchanges = model.exchanges("predict", 1, count)
        self._requests = [exchange.request for exchange in exchanges]
        self._answers = Answers("predict", exchanges)
        self._connections = [Connection(each, PREDICT) for each in addresses]

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            connection.close()

    def ask(self, seconds: float) -> int:
        """Ask for so long, and wait for the last answers; gives the number of answers."""
        callers, answered = range(len(self._requests)), 0
        open_calls, ends = len(callers), time.perf_counter() + seconds
        for caller in callers:
            ask(self._connections[caller % len(self._connections)], caller, self._requests, stream=False)
        while open_calls:
            for connection in wait(self._connections, open_calls):
                for caller, answer in connection.receive():
                    self._answers.check(caller, answer)
                    answered += 1
                    if time.perf_counter() < ends:
                        ask(connection, caller, self._requests, stream=False)
                    else:
                        open_calls -= 1
                connection.flush()
        return answered
