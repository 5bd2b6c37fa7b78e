"""Bounds on what a server holds for its callers at once: calls, streams and bytes.

A call is admitted before anything of it is read, and refused at once if too many are open. Bytes count from their
arrival, also those of unfinished requests. If they pass the bound, the slowest senders lose their place: a stuck caller
holds bytes for ever, and honest callers must not be refused because of it.

Example: 64 MiB may be held, and 1,000 callers send 1 MB each of a longer message, then nothing. About 60 of them are
held. Each further MB takes the place of the caller that has been silent for longest. A complete message keeps its
place; if complete messages alone fill the bound, the next one is refused.

Answers count from the moment that a front end sends them until the caller has read them. They have a bound of their
own, so that unread answers do not keep other callers from sending requests. If answers pass that bound, or calls reach
their number, a caller loses its answer once it has had longer than :func:`service.rpc.eviction.reading_seconds`.
"""

import asyncio
import time
from collections.abc import Callable

from service.errors import Overloaded
from service.rpc.bounds import Bounds
from service.rpc.eviction import find_overdue, find_slowest, is_overdue
from service.rpc.limits import UNREAD_BYTES

# A refused caller is told to come back after this time: stuck calls have lost their places by then.
_RETRY_SECONDS = 0.2
# Eviction goes on down to this share of the bound: to find the slowest calls costs a look at every call.
_KEPT_SHARE = 7 / 8


class Held:
    """What one call holds. Made by :meth:`Admission.admit`; ends with :meth:`close`.

    Attributes:
        evicted: Another call has its place now; the caller gets :meth:`refusal`.
        lost: It was evicted because its caller does not read: its connection is to be closed, as nothing can be told.
        held_bytes: Of its requests, and of a stream's answers that are not taken.
        received_bytes: Of a message that is not complete; `held_bytes` has them too.
        since: When that message began.
        unread_bytes: Of answers that are not taken.
        unread_since: When the caller last took one while others waited, or the first of them came; None without any.
    """

    __slots__ = (
        *("_admission", "_cancel", "_closed", "_enough"),
        *("answer_bytes", "evicted", "held_bytes", "lost", "received_bytes", "since", "unread_bytes", "unread_since"),
    )

    def __init__(self, admission: "Admission", cancel: Callable[[], object], since: float) -> None:
        self.evicted = self.lost = False
        self.held_bytes = self.received_bytes = self.unread_bytes = self.answer_bytes = 0
        self.since = since
        self.unread_since: float | None = None
        self._admission = admission
        self._cancel = cancel
        self._closed = False
        self._enough: asyncio.Event | None = None

    def receive(self, unfinished_bytes: int) -> None:
        """Say how much is here of a message that is not complete.

        Raises:
            Overloaded: There is no room for it.
        """
        if not self.received_bytes:  # a message begins: the silence before it was no slowness
            self.since = self._admission.now()
        self._receive(unfinished_bytes, unfinished_bytes)

    def complete(self, message_bytes: int) -> None:
        """Say that the one message of a call is here: it keeps its place until it is answered.

        Raises:
            Overloaded: There is no room for it.
        """
        self._receive(message_bytes, 0)

    def answer(self, answer_bytes: int) -> None:
        """Count the one answer of a call in the place of its request, until the call is over.

        A short one counts among the calls alone: it takes the room of what a front end holds of a call unread.

        Raises:
            Overloaded: There is no room for it.
        """
        self._grow(-self.held_bytes)
        if answer_bytes > UNREAD_BYTES:
            self._admission.answer(answer_bytes)
            self.unread_bytes = self.answer_bytes = answer_bytes
        self.unread_since = self._admission.now()

    def take(self, request_bytes: int) -> None:
        """Count a request of a stream; the call is cancelled where there is no room for it."""
        self._grow(request_bytes)
        if self.evicted:
            self._cancel()

    def count_answer(self, request_bytes: int, answer_bytes: int) -> None:
        """Count a stream's answer in the place of its request; the call is cancelled where there is no room for it."""
        if self.unread_since is None:
            self.unread_since = self._admission.now()
        self.unread_bytes += answer_bytes
        self._grow(answer_bytes - request_bytes)
        if self.evicted:
            self._cancel()

    def release_answer(self, answer_bytes: int) -> None:
        """The caller has taken an answer."""
        self.unread_bytes -= answer_bytes
        self.unread_since = self._admission.now() if self.unread_bytes > 0 else None
        self._grow(-answer_bytes)

    async def room(self) -> None:
        """Wait until this stream holds little enough to read more of it."""
        while self.held_bytes - self.received_bytes > self._admission.stream_bytes:
            self._enough = asyncio.Event()
            await self._enough.wait()

    def evict(self, newest: "Held | None" = None) -> None:
        """Give its place away and cancel it; the newest call learns of it by itself."""
        self._admission.held_bytes -= self.held_bytes
        self._admission.answer_bytes -= self.answer_bytes
        self.held_bytes = self.answer_bytes = 0
        self.evicted = True
        self.lost = is_overdue(self, self._admission.now())
        if self is not newest:
            self._cancel()

    def refusal(self) -> Overloaded:
        """What the caller is told where there is no room, or where the call has lost its place."""
        return self._admission.refusal()

    def close(self) -> None:
        """The call is over; what its handler says of it from now on counts no longer."""
        self._admission.leave(self)
        self.held_bytes = self.answer_bytes = 0
        self._closed = True
        self._cancel = bool  # nothing: what it refers to may be the call, which is freed sooner without

    def _receive(self, here_bytes: int, unfinished_bytes: int) -> None:
        more_bytes = here_bytes - self.received_bytes
        self.received_bytes = unfinished_bytes
        self._grow(more_bytes)
        if self.evicted:
            raise self.refusal()

    def _grow(self, more_bytes: int) -> None:
        if self.evicted or self._closed:
            return
        self.held_bytes += more_bytes
        self._admission.grow(self, more_bytes)
        if more_bytes < 0 and self._enough:
            self._enough.set()


class Admission:
    """The calls that are open, and what they hold. Lives on one event loop.

    Args:
        bounds: Most that is held.
        clock: Monotonic seconds.

    Attributes:
        stream_bytes: Once one stream holds more than this it is read no further until some of it is answered, so that
            streams by themselves leave half of the room to others.
    """

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock
        self.stream_bytes = bounds.held_bytes // (2 * bounds.streams)
        self.held_bytes = self.answer_bytes = 0
        self._bounds = bounds
        self._calls: set[Held] = set()
        self._streams: set[Held] = set()

    def admit(self, *, stream: bool, cancel: Callable[[], object]) -> Held:
        """Take a call in.

        Args:
            stream: Whether it brings many requests.
            cancel: Cancels the call; called where another needs its place more.

        Raises:
            Overloaded: Too many are open.
        """
        opened, most = (self._streams, self._bounds.streams) if stream else (self._calls, self._bounds.calls)
        if len(opened) >= most:
            for late in find_overdue(opened, self.now()):
                late.evict()
            kind, setting = ("streams", "max_streams") if stream else ("calls", "max_calls")
            raise Overloaded(f"{most} {kind} are open, the most that are taken at once ({setting})", _RETRY_SECONDS)
        held = Held(self, cancel, self.now())
        opened.add(held)
        return held

    def leave(self, held: Held) -> None:
        """A call is over."""
        self.held_bytes -= held.held_bytes
        self.answer_bytes -= held.answer_bytes
        self._calls.discard(held)
        self._streams.discard(held)

    def grow(self, held: Held, more_bytes: int) -> None:
        """Count more bytes of a call, or fewer; other calls make room if that is too much."""
        self.held_bytes += more_bytes
        if self.held_bytes > self._bounds.held_bytes and more_bytes > 0:
            self._make_room(held)

    def answer(self, answer_bytes: int) -> None:
        """Count the answer of a call; overdue answers make room for it.

        Raises:
            Overloaded: Answers that are not overdue leave no room for it.
        """
        most_bytes = self._bounds.held_bytes
        if self.answer_bytes + answer_bytes > most_bytes:
            for late in find_overdue(self._calls, self.now()):
                if late.answer_bytes and self.answer_bytes + answer_bytes > _KEPT_SHARE * most_bytes:
                    late.evict()
            if self.answer_bytes + answer_bytes > most_bytes:
                raise Overloaded(
                    f"answers that callers have not read yet take {self.answer_bytes} of {most_bytes} bytes, the most "
                    f"that are held at once (max_inflight_bytes), and this one has {answer_bytes}",
                    _RETRY_SECONDS,
                )
        self.answer_bytes += answer_bytes

    def refusal(self) -> Overloaded:
        """What callers are told where there is no room."""
        return Overloaded(
            f"requests take {self._bounds.held_bytes} bytes, the most that are held at once (max_inflight_bytes); "
            "those that come slowest are refused",
            _RETRY_SECONDS,
        )

    def _make_room(self, newest: Held) -> None:
        """Evict streams with overdue answers, then the calls that send slowest."""
        now = self.now()
        late = [held for held in find_overdue(self._streams, now) if held.held_bytes]
        for held in (*late, *find_slowest((*self._calls, *self._streams), now)):
            if self.held_bytes <= _KEPT_SHARE * self._bounds.held_bytes:
                return
            if not held.evicted:
                held.evict(newest)
        if self.held_bytes > self._bounds.held_bytes and not newest.evicted:
            newest.evict(newest)
