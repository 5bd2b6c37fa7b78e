"""What the load generator is told, and what it tells."""

from dataclasses import dataclass, field
from typing import Literal

# How answers are decoded where their numbers are new: each form is a message of its own.
Form = Literal["predict", "infer", "stream", "echo"]


@dataclass(frozen=True)
class Exchange:
    """A request and the answer that is right.

    Args:
        request: The message as it goes over the wire.
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
        form: What answers look like; "echo" answers are that many zero bytes.
        exchanges: Caller n asks number n, modulo how many there are.
        callers: Who each wait for one answer before they ask again; messages in flight on a stream.
        seconds: How long is measured, after a warm-up; 0 where `requests` says.
        requests: How many are sent; 0 where `seconds` says.
        rate: Requests a second that arrive whether answers came or not; 0 where callers wait.
        grpc_client: Whether grpc's own blocking client asks, for one caller alone.
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
    grpc_client: bool = False


@dataclass(frozen=True)
class Seen:
    """What a load saw.

    Attributes:
        requests, seconds: Answered while it was measured, and how long that was.
        server_cpu_seconds, load_cpu_seconds: Processor time of the server's tree and of the generator meanwhile.
        p50_seconds, p99_seconds: Latencies; where requests arrive by a schedule, from the scheduled moment. All is NaN
            where the server did not keep up with it.
        late_p99_seconds: How much later than scheduled requests were sent; 0 where there is no schedule.
        stolen_seconds: Processor time that the machine's host gave to others meanwhile.
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
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def server_cpu(self) -> float:
        """Processor seconds of the server for each request."""
        return self.server_cpu_seconds / self.requests

    @property
    def load_cpu(self) -> float:
        """Processor seconds of the generator for each request."""
        return self.load_cpu_seconds / self.requests

    @property
    def p99_over_p50(self) -> float:
        """How much longer the slow requests take than most."""
        return self.p99_seconds / self.p50_seconds

    @property
    def load_busy(self) -> float:
        """Share of the time that the generator computed: where it nears 1, the generator is what is measured."""
        return self.load_cpu_seconds / self.seconds
