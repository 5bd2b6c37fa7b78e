"""The jobs of the load generator, and their results."""

from dataclasses import dataclass, field
from typing import Literal

# The kind of message; an answer with new bytes is decoded accordingly.
Form = Literal["predict", "explain", "infer", "stream", "echo"]


class LoadError(Exception):
    """A load could not be measured: an error, a wrong answer, or no answer."""


@dataclass(frozen=True)
class Exchange:
    """A request and its right answer.

    Args:
        request: The serialized message.
        answer: [rows, columns] float32 numbers in row-major order.
    """

    request: bytes
    answer: bytes


@dataclass(frozen=True)
class Job:
    """One load on one server.

    Args:
        address: "host:port" of the server.
        pid: The server's first process.
        path: gRPC path of the method.
        form: Kind of message; an "echo" answer is as many zero bytes as `exchanges` has.
        exchanges: Caller n sends number n, modulo the number of exchanges.
        callers: Number of callers that each wait for an answer before the next request; on a stream: the number of
            messages in flight.
        seconds: Length of the measurement after a warm-up; 0: `requests` limits it.
        requests: Number of requests; 0: `seconds` limits the measurement.
        rate: Requests per second that arrive independently of the answers; 0: callers wait for answers.
        connections: Number of connections that share the requests evenly; 0: one for every 16 callers, 4 with a rate.
        grpc_client: Use grpc's own blocking client, with one caller.
    """

    address: str
    pid: int
    path: str
    form: Form
    exchanges: tuple[Exchange, ...] = field(repr=False)
    callers: int
    seconds: float = 0.0
    requests: int = 0
    rate: float = 0.0
    connections: int = 0
    grpc_client: bool = False


@dataclass(frozen=True)
class LoadResult:
    """The result of a load.

    Attributes:
        requests: Number of requests answered during the measurement.
        seconds: Length of the measurement.
        server_cpu_seconds: Processor time of the server's tree of processes during the measurement.
        load_cpu_seconds: Processor time of the generator during the measurement.
        p50_seconds: Median latency; with a rate it counts from the scheduled time. NaN if the server did not keep up.
        p99_seconds: 99th percentile of the latency, likewise.
        late_p99_seconds: 99th percentile of the delay between schedule and sending; 0 without a rate.
        stolen_seconds: Processor time that the host gave to other machines during the measurement.
    """

    requests: int
    seconds: float
    server_cpu_seconds: float
    load_cpu_seconds: float
    p50_seconds: float
    p99_seconds: float
    late_p99_seconds: float = 0.0
    stolen_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def server_cpu(self) -> float:
        """Processor seconds of the server per request."""
        return self.server_cpu_seconds / self.requests

    @property
    def load_cpu(self) -> float:
        """Processor seconds of the generator per request."""
        return self.load_cpu_seconds / self.requests

    @property
    def p99_over_p50(self) -> float:
        """The ratio of the 99th percentile to the median of the latency."""
        return self.p99_seconds / self.p50_seconds

    @property
    def load_busy(self) -> float:
        """Share of the time that the generator was busy. Near 1 the generator is the bottleneck, not the server."""
        return self.load_cpu_seconds / self.seconds
