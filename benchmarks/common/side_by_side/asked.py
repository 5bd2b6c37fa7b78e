"""A server that is asked in slices, and the processor time that it has used."""

import time
from contextlib import ExitStack, closing

from benchmarks.common.answers import Answers
from benchmarks.common.http2 import PLAIN, Connection, Security
from benchmarks.common.load import ask, wait
from benchmarks.common.processes import run_seconds, tree
from benchmarks.common.served_models import PREDICT, ServedModel
from benchmarks.common.servers import Server

_CALLERS = 16


class Asked:
    """A server and the connection of 16 callers that send one row each.

    Processor time is that of the scheduler, in nanoseconds: /proc/PID/stat has ticks of 10 ms.

    Args:
        stack: Closes the connection.
        server: A kan-serve.
        model: The model that it serves.
        security: Of the connection.
    """

    def __init__(self, stack: ExitStack, server: Server, model: ServedModel, security: Security = PLAIN) -> None:
        exchanges = model.exchanges("predict", 1, _CALLERS)
        self._requests = [exchange.request for exchange in exchanges]
        self._answers = Answers("predict", exchanges)
        self._connection = stack.enter_context(closing(Connection(server.address, PREDICT, security)))
        self._pids = tree(server.pid)

    @property
    def tls(self) -> str:
        """The version of TLS and the cipher of the connection; "" without TLS."""
        return self._connection.tls

    def request_seconds(self, seconds: float) -> float:
        """Processor time of a request, while the callers ask for so long."""
        before = self.run_seconds()
        answered = self.ask(seconds)
        return (self.run_seconds() - before) / answered

    def run_seconds(self) -> float:
        """Processor time of the server so far."""
        return run_seconds(self._pids)

    def ask(self, seconds: float) -> int:
        """The callers ask for so long, and wait for the last answers; gives the number of answers."""
        answered, open_calls = 0, _CALLERS
        ends = time.perf_counter() + seconds
        for caller in range(_CALLERS):
            ask(self._connection, caller, self._requests, stream=False)
        while open_calls:
            wait([self._connection], open_calls)
            for caller, answer in self._connection.receive():
                self._answers.check(caller, answer)
                answered += 1
                if time.perf_counter() < ends:
                    ask(self._connection, caller, self._requests, stream=False)
                else:
                    open_calls -= 1
            self._connection.flush()
        return answered
