"""The times of one sampled call, kept until a thread turns them into spans."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


class Run(Protocol):
    """What a trace is told of a run: its time on the clock time.monotonic, its size, and who follows it."""

    @property
    def started(self) -> float:
        """When it began."""

    @property
    def seconds(self) -> float:
        """Its duration."""

    @property
    def rows(self) -> int:
        """Rows of the batch."""

    @property
    def requests(self) -> int:
        """Requests of the batch."""

    @property
    def followers(self) -> tuple[object, ...]:
        """The traces of those of them that are sampled."""

    @property
    def traced(self) -> Callable[[float, str], None] | None:
        """Keeps a trace as an example of its duration; None if it is not counted."""


@dataclass(frozen=True)
class Ids:
    """A span's: 32 and 16 hexadecimal digits."""

    trace_id: str
    span_id: str


@dataclass(frozen=True)
class End:
    """How a call ended.

    Attributes:
        path: Full gRPC path, "/package.Service/Method".
        code: Name of the status code.
        model, version: What answered, or "".
        request_id: The name of the request in the log.
        seconds: Time from arrival to answer.
    """

    path: str
    code: str
    model: str
    version: str
    request_id: str
    seconds: float


@dataclass(eq=False, slots=True)
class Trace:
    """One sampled call; follows its rows through a batcher. Once ended it does not change.

    Args:
        ids: Of the span of the call.
        parent_id: The span of the caller; "" if the trace begins here.
        state: The caller's tracestate, or "".
        started: When the call arrived, on the clock time.monotonic.
        take: Gets the trace when it has ended.

    Attributes:
        started_unix_ns: When it arrived, in nanoseconds since 1970.
        submitted_at: When its rows came to the batcher; None before.
        runs: The runs that its rows were part of.
        batches: Ids of the spans of those runs that this trace tells of: it is the first of their followers.
        end: How the call ended; None before.
    """

    ids: Ids
    parent_id: str
    state: str
    started: float
    take: Callable[["Trace"], None] = field(repr=False)
    started_unix_ns: int = 0
    submitted_at: float | None = None
    runs: list[Run] = field(default_factory=list)
    batches: dict[Run, Ids] = field(default_factory=dict)
    end: End | None = None

    def __post_init__(self) -> None:
        self.started_unix_ns = time.time_ns() - round(1e9 * (time.monotonic() - self.started))

    def submitted(self, at: float) -> None:
        """Its rows came to a batcher; the first time counts."""
        if self.submitted_at is None:
            self.submitted_at = at

    def ran(self, run: Run) -> None:
        """A run with rows of it has ended."""
        self.runs.append(run)
        if run.followers[0] is self:
            self.batches[run] = new_ids()

    def finish(self, end: End) -> None:
        """The call has ended: hand the trace over."""
        self.end = end
        self.take(self)

    @property
    def queue_seconds(self) -> float | None:
        """Time of its rows before their first run; None if they were not run."""
        if self.submitted_at is None or not self.runs:
            return None
        return max(0.0, self.runs[0].started - self.submitted_at)


def batch_ids(run: Run) -> Ids:
    """The ids of the span of a run, which all of its followers name."""
    leader = run.followers[0]
    assert isinstance(leader, Trace)
    return leader.batches[run]


def new_ids(trace_id: str = "") -> Ids:
    """Ids of a new span, in a trace of its own unless one is given."""
    return Ids(trace_id or f"{_number(128):032x}", f"{_number(64):016x}")


def _number(bits: int) -> int:
    """A random number that is not 0: ids of zeros are invalid."""
    return random.getrandbits(bits) or 1
