"""Requests that wait to be run: bounded in rows, in order of arrival, taken in blocks."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from service.errors import DeadlineExceeded, Overloaded, ServiceError

Rows = NDArray[np.float32]
Outputs = Sequence[NDArray[Any]]
Rejection = Literal["overload", "deadline", "cancelled", "draining"]


class BatchObserver(Protocol):
    """Who is told what a batcher does; ModelMetrics is one."""

    def accepted(self, rows: int) -> None:
        """A request of so many rows was taken into the queue."""

    def queued(self, rows: int) -> None:
        """So many rows wait now."""

    def waited(self, seconds: float) -> None:
        """A request waited so long before its first run."""

    def ran(self, rows: int, seconds: float) -> None:
        """The model ran on so many rows for so long."""

    def rejected(self, reason: Rejection) -> None:
        """A request ended before all of its rows were run."""

    def died(self) -> None:
        """The batcher broke and refuses everything from now on."""


@dataclass(frozen=True, slots=True)
class Result:
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
    taken: int = 0
    queue_seconds: float = 0.0
    compute_seconds: float = 0.0
    blocks: list[Outputs] = field(default_factory=list)

    def fail(self, error: ServiceError) -> None:
        """Tell the caller, if it still listens."""
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows [start, stop) of a request, in one batch."""

    request: Request
    start: int
    stop: int


class RequestQueue:
    """First come, first served; at most max_rows rows wait.

    Args:
        max_rows: Most rows that may wait.
        observer: Who is told of every change.
    """

    def __init__(self, max_rows: int, observer: BatchObserver) -> None:
        self.rows = 0
        self._max_rows = max_rows
        self._observer = observer
        # A linked list with keys: a caller who leaves is taken out at once, wherever it stands.
        self._requests: OrderedDict[Request, None] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._requests)

    def put(self, request: Request, row_seconds: float = 0.0) -> None:
        """Take a request in.

        Args:
            request: From now on it waits.
            row_seconds: Time that a row took of late; whoever is refused is told when to come again.

        Raises:
            DeadlineExceeded: Its deadline has passed.
            Overloaded: Its rows would pass the bound.
        """
        rows = len(request.rows)
        if request.deadline is not None and request.arrived >= request.deadline:
            self._observer.rejected("deadline")
            raise _too_late(request, request.arrived)
        if self.rows + rows > self._max_rows:
            self._observer.rejected("overload")
            raise Overloaded(
                f"{self.rows} rows wait, {rows} more would pass the bound of {self._max_rows}", self.rows * row_seconds
            )
        self._requests[request] = None
        self._change(rows)
        self._observer.accepted(rows)

    def take(self, max_rows: int, now: float) -> list[Part]:
        """The next batch of at most max_rows rows. Callers who left are passed over, late ones fail."""
        batch: list[Part] = []
        room = max_rows
        while room and self._requests:
            request = next(iter(self._requests))
            if request.future.done():
                self.discard(request, "cancelled")
            elif request.deadline is not None and now >= request.deadline:
                self.discard(request, "deadline", _too_late(request, now))
            elif batch and request.rows.shape[1:] != batch[0].request.rows.shape[1:]:
                # Rows of another width can only fail; in a batch of their own they fail alone.
                break
            else:
                batch.append(self._take_part(request, room, now))
                room -= batch[-1].stop - batch[-1].start
        return batch

    def discard(self, request: Request, reason: Rejection, error: ServiceError | None = None) -> None:
        """Take a request out and count why, if rows of it still wait; tell its caller when an error is given."""
        if self.forget(request):
            self._observer.rejected(reason)
            if error is not None:
                request.fail(error)

    def forget(self, request: Request) -> bool:
        """Take a request out, uncounted. True if rows of it waited."""
        if request not in self._requests:
            return False
        del self._requests[request]
        self._change(request.taken - len(request.rows))
        return True

    def waiting(self) -> list[Request]:
        """All requests with waiting rows, oldest first."""
        return list(self._requests)

    def _take_part(self, request: Request, room: int, now: float) -> Part:
        """The next rows of a request, as many as there is room for."""
        start = request.taken
        if start == 0:
            request.queue_seconds = now - request.arrived
            self._observer.waited(request.queue_seconds)
        request.taken = min(start + room, len(request.rows))
        if request.taken == len(request.rows):
            del self._requests[request]
        self._change(start - request.taken)
        return Part(request, start, request.taken)

    def _change(self, rows: int) -> None:
        """Count rows in or out."""
        self.rows += rows
        self._observer.queued(self.rows)


def _too_late(request: Request, now: float) -> DeadlineExceeded:
    """What a caller whose deadline passed is told."""
    waited_seconds = now - request.arrived
    waiting_rows = len(request.rows) - request.taken
    return DeadlineExceeded(f"the deadline passed with {waiting_rows} rows unrun after {waited_seconds:.6f} s here")
