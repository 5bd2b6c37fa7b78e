"""Memory of a separate server with the small model, before, during and after a million requests."""

from dataclasses import dataclass

from benchmarks.common.load_job import Job
from benchmarks.common.load_process import LoadProcess
from benchmarks.common.processes import memory_mb
from benchmarks.common.served_models import PREDICT, PREDICT_STREAM, ServedModel
from benchmarks.common.servers import ours

_CALLERS = 64
# The share of requests sent as unary calls; the others go over one stream, which is faster.
_UNARY_SHARE = 0.2
_WARM_UP_SHARE = 0.05


@dataclass(frozen=True)
class Memory:
    """Resident memory of all processes of a server, in MB.

    Attributes:
        fresh_mb: After loading and one request.
        warm_mb: After the warm-up.
        end_mb: After all further requests.
        end_shared_once_mb: As `end_mb`, with shared pages counted once (PSS).
        requests: Number of requests after the warm-up.
    """

    fresh_mb: float
    warm_mb: float
    end_mb: float
    end_shared_once_mb: float
    requests: int

    @property
    def growth_mb(self) -> float:
        """The growth since the end of the warm-up."""
        return self.end_mb - self.warm_mb


def measure_memory(front_end: str, model: ServedModel, requests: int) -> Memory:
    """Start a server, warm it up, and send it this many requests, from 64 callers and over a stream.

    Raises:
        LoadError: an error, or a wrong answer.
    """
    with ours(f"memory, {front_end}", "ours", model, front_end) as server, LoadProcess() as load:
        fresh = memory_mb(server.pid)

        def ask(count: int) -> int:
            unary = round(count * _UNARY_SHARE)
            stream = count - unary
            exchanges = model.exchanges("predict", 1, _CALLERS)
            load.run(Job(server.address, server.pid, PREDICT, "predict", exchanges, _CALLERS, requests=unary))
            load.run(Job(server.address, server.pid, PREDICT_STREAM, "stream", exchanges, _CALLERS, requests=stream))
            return count

        ask(round(requests * _WARM_UP_SHARE))
        warm = memory_mb(server.pid)
        count = ask(requests)
        return Memory(fresh, warm, memory_mb(server.pid), memory_mb(server.pid, "Pss"), count)
