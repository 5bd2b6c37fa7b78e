"""A request on its way through a batcher: its rows, its result, and the observer of a batcher."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.errors import ServiceError

Rows = NDArray[np.float32]
Outputs = Sequence[NDArray[Any]]
Rejection = Literal["overload", "deadline", "cancelled", "draining"]


class BatchObserver(Protocol):
    """What a batcher reports to; ModelObserver is one."""

    def accepted(self, rows: int, /) -> None:
        """A request with ``rows`` rows was taken into the queue."""

    def queued(self, rows: int) -> None:
        """``rows`` rows wait now."""

    def waited(self, seconds: float, /) -> None:
        """A request waited for ``seconds`` before its first run."""

    def ran(self, rows: int, seconds: float) -> None:
        """The model ran on ``rows`` rows, for ``seconds``."""

    def traced(self, seconds: float, trace_id: str, /) -> None:
        """A run of ``seconds``, which was counted, is part of this trace."""

    def rejected(self, reason: Rejection) -> None:
        """A request ended before all of its rows were run."""

    def placed(self, *, inline: bool) -> None:
        """Runs take place on the event loop from now on, or in a thread."""

    def died(self) -> None:
        """The batcher broke and refuses everything from now on."""


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """One run of the callable, as followers are told of it; all of one batch are given the same object.

    Attributes:
        started: When it began, by the clock of the batcher.
        seconds: Its duration.
        rows, requests: Size of the batch.
        followers: Those of the requests in it that are followed.
        traced: Keeps a trace as an example of its duration; None if the run failed and is not counted.
    """

    started: float
    seconds: float
    rows: int
    requests: int
    followers: tuple["Follower", ...]
    traced: Callable[[float, str], None] | None = None


class Follower(Protocol):
    """Is told of the way of one request through a batcher, such as a trace. It must not raise."""

    def submitted(self, at: float, /) -> None:
        """The request was submitted, at this time by the clock of the batcher."""

    def ran(self, run: Run, /) -> None:
        """A run that held rows of the request has ended. Called before the request has its result."""


class Result(NamedTuple):
    """What one request gets: outputs with as many rows as it brought, its wait, and the time of its runs."""

    outputs: tuple[NDArray[Any], ...]
    queue_seconds: float
    compute_seconds: float


@dataclass(eq=False, slots=True)
class Request:
    """Rows of one caller. Rows before `taken` are run or running, the rest wait."""

    rows: Rows
    deadline: float | None
    arrived: float
    future: asyncio.Future[Result]
    bulk: bool = False
    follower: Follower | None = None
    taken: int = 0
    queue_seconds: float = 0.0
    compute_seconds: float = 0.0
    blocks: list[Outputs] = field(default_factory=list)

    def fail(self, error: ServiceError) -> None:
        """Give the caller the error, if it still waits."""
        if not self.future.done():
            self.future.set_exception(error)


class Part(NamedTuple):
    """Rows [start, stop) of a request, in one batch."""

    request: Request
    start: int
    stop: int
