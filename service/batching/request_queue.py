"""Requests that wait to be run: two priorities, bounded in rows, taken in blocks in order of arrival."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NoReturn

from service.batching.delivery import run_failure
from service.batching.request import BatchObserver, Part, Rejection, Request
from service.errors import DeadlineExceeded, Draining, Overloaded, ServiceError

# While both kinds wait, bulk requests come first in every fourth batch, and last in all others.
_BULK_TURN_BATCHES = 4
# Behind interactive rows a batch takes a quarter of the bulk rows that it may take without them.
_BULK_BEHIND_INTERACTIVE = 4
# A bulk request longer than a sixteenth of the queue counts as a sixteenth.
_SHARES = 16
# A caller's timer may end this much before the deadline.
_TIMER_SECONDS = 0.01


class RequestQueue:
    """At most max_rows rows wait. Within each kind of request the order is first come, first served.

    Interactive requests are taken before bulk requests, but every fourth batch takes bulk requests first. So bulk
    requests get a quarter of the runs under any interactive load. Bulk rows may fill half of the queue, so there is
    always room for interactive requests.

    A long bulk request would find no room beside short ones, which need less. Therefore one long bulk request at a time
    counts as a sixteenth of the queue only. The rest of its rows may wait above max_rows.

    Args:
        max_rows: Most rows that may wait.
        observer: It gets a report of every change.
    """

    def __init__(self, max_rows: int, observer: BatchObserver) -> None:
        self.rows = 0
        self._max_rows = max_rows
        self._observer = observer
        # Linked lists with keys: a cancelled request is taken out at once, wherever it stands.
        self._interactive: OrderedDict[Request, None] = OrderedDict()
        self._bulk: OrderedDict[Request, None] = OrderedDict()
        self._bulk_rows = 0
        self._long: Request | None = None  # the bulk request that waits in full and counts in part
        self._share_rows = max(1, max_rows // _SHARES)
        self._batches = 0

    def __bool__(self) -> bool:
        return bool(self._interactive or self._bulk)

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
        excess = self._excess_rows()
        is_long = request.bulk and rows > self._share_rows and self._long is None
        counted = self._share_rows if is_long else rows
        if request.bulk and self._bulk and self._bulk_rows - excess + counted > self._max_rows // 2:
            self._refuse(f"{self._bulk_rows} bulk rows", rows, self._max_rows // 2, row_seconds)
        # Interactive requests find their half of the queue though a long bulk request has more than its own.
        if self.rows - (0 if request.bulk else excess) + rows > self._max_rows:
            self._refuse(f"{self.rows} rows", rows, self._max_rows, row_seconds)
        self._of_kind(request)[request] = None
        if is_long:
            self._long = request
        self._change(request, rows)
        self._observer.accepted(rows)

    def take(self, max_rows: int, now: float, max_bulk_rows: int | None = None) -> list[Part]:
        """The next batch of at most max_rows rows. Cancelled requests are skipped, late ones fail.

        Args:
            max_rows: Most rows of the batch.
            now: The moment.
            max_bulk_rows: Most bulk rows of the batch; a quarter of them behind interactive rows, because the callers
                of those wait for the whole batch. Without bound when left out.
        """
        self._batches += 1
        batch: list[Part] = []
        room, bulk_room = max_rows, max_rows if max_bulk_rows is None else max_bulk_rows
        if max_bulk_rows is not None and self._interactive and self._batches % _BULK_TURN_BATCHES:
            bulk_room = max(1, max_bulk_rows // _BULK_BEHIND_INTERACTIVE)
        bulk_first = self._batches % _BULK_TURN_BATCHES == 0
        for requests in (self._bulk, self._interactive) if bulk_first else (self._interactive, self._bulk):
            is_bulk = requests is self._bulk
            while requests and (left := min(room, bulk_room) if is_bulk else room):
                request = next(iter(requests))
                if request.future.done():
                    self.discard(request, "cancelled")
                elif request.deadline is not None and now >= request.deadline:
                    self.discard(request, "deadline", _too_late(request, now))
                elif batch and request.rows.shape[1:] != batch[0].request.rows.shape[1:]:
                    # Rows of another width can only fail; in a batch of their own they fail alone.
                    return batch
                else:
                    part = self._take_part(request, left, now)
                    batch.append(part)
                    room -= part.stop - part.start
                    bulk_room -= is_bulk * (part.stop - part.start)
        return batch

    def discard(self, request: Request, reason: Rejection, error: ServiceError | None = None) -> None:
        """Take a request out and count why, if rows of it still wait; tell its caller when an error is given."""
        if self.forget(request):
            self._observer.rejected(reason)
            if error is not None:
                request.fail(error)

    def leave(self, request: Request, now: float) -> None:
        """Take a request out whose caller has gone: because its deadline has passed, or of its own accord."""
        is_late = request.deadline is not None and now >= request.deadline - _TIMER_SECONDS
        self.discard(request, "deadline" if is_late else "cancelled")

    def drop_all(self) -> None:
        """Take all requests out, because the server stops."""
        for request in self.waiting():
            self.discard(request, "draining", Draining("the server stopped before these rows were run"))

    def forget(self, request: Request) -> bool:
        """Take a request out, uncounted. True if rows of it waited."""
        if request not in self._of_kind(request):
            return False
        self._remove(request)
        self._change(request, request.taken - len(request.rows))
        return True

    def fail(self, requests: Iterable[Request], cause: BaseException) -> None:
        """Tell the callers that their run failed; rows of theirs that still wait are not run."""
        for request in requests:
            self.forget(request)
            request.fail(run_failure(cause))

    def waiting(self) -> list[Request]:
        """All requests with waiting rows; of each kind, oldest first."""
        return [*self._interactive, *self._bulk]

    def _excess_rows(self) -> int:
        """Waiting rows of the long bulk request that do not count."""
        if self._long is None:
            return 0
        return max(0, len(self._long.rows) - self._long.taken - self._share_rows)

    def _of_kind(self, request: Request) -> OrderedDict[Request, None]:
        return self._bulk if request.bulk else self._interactive

    def _remove(self, request: Request) -> None:
        """Take a request out and let go of its rows."""
        del self._of_kind(request)[request]
        if request is self._long:
            self._long = None

    def _take_part(self, request: Request, room: int, now: float) -> Part:
        """The next rows of a request, as many as there is room for."""
        start = request.taken
        if start == 0:
            request.queue_seconds = now - request.arrived
            self._observer.waited(request.queue_seconds)
        request.taken = min(start + room, len(request.rows))
        if request.taken == len(request.rows):
            self._remove(request)
        self._change(request, start - request.taken)
        return Part(request, start, request.taken)

    def _refuse(self, waiting: str, rows: int, bound: int, row_seconds: float) -> NoReturn:
        """Tell a caller that there is no room, and when there will be."""
        self._observer.rejected("overload")
        raise Overloaded(f"{waiting} wait, {rows} more would pass the bound of {bound}", self.rows * row_seconds)

    def _change(self, request: Request, rows: int) -> None:
        """Count rows of a request in or out."""
        self.rows += rows
        if request.bulk:
            self._bulk_rows += rows
        self._observer.queued(self.rows)


def _too_late(request: Request, now: float) -> DeadlineExceeded:
    """What a caller whose deadline passed is told."""
    waited_seconds = now - request.arrived
    waiting_rows = len(request.rows) - request.taken
    return DeadlineExceeded(f"the deadline passed with {waiting_rows} rows unrun after {waited_seconds:.6f} s here")
