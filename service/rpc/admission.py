"""How much of its callers' requests a server holds at once: calls, streams and bytes.

A call is admitted before anything of it is read, and refused at once where too many are open. Bytes count from their
arrival, those of unfinished requests too. Where they pass the bound, the callers who send slowest lose their place: a
stuck caller holds bytes for ever, and honest callers must not be refused because of it.

Example: 64 MiB may be held, and 1,000 callers send 1 MB each of a longer message, then nothing. About 60 of them are
held. Each further MB takes the place of a caller who has been silent for longest. A complete message keeps its place;
where complete messages alone fill the bound, the next one is refused.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from service.errors import Overloaded
from service.rpc.calls import Method, ServerStream
from service.settings import Settings

# A refused caller is told to come back after this time: stuck calls have lost their places by then.
_RETRY_SECONDS = 0.2
# Eviction goes on down to this share of the bound: to find the slowest calls costs a look at every call.
_KEPT_SHARE = 7 / 8
# Within a shorter time a caller's speed says nothing.
_SHORTEST_SECONDS = 1e-3

# Methods that tell whether the server lives and what it serves. Their messages are short, and a full server must answer
# them: they are admitted apart.
_APART_PROTOCOLS = ("health", "reflection")
_APART_PATHS = tuple(f"/inference.GRPCInferenceService/{name}" for name in ("ServerLive", "ServerReady", "ModelReady"))
APART_MAX_MESSAGE_BYTES = 64 * 1024


def is_apart(method: Method) -> bool:
    """Whether a method's calls count apart from those that bring rows."""
    return method.protocol in _APART_PROTOCOLS or method.path in _APART_PATHS


@dataclass(frozen=True)
class Bounds:
    """Most that is held at once.

    Args:
        calls: With one request.
        streams: Of requests.
        held_bytes: Of requests, complete or not, and of a stream's answers that its caller has not taken.
    """

    calls: int
    streams: int
    held_bytes: int


def bounds(settings: Settings) -> Bounds:
    """What the settings say."""
    return Bounds(settings.max_calls, settings.max_streams, settings.max_inflight_bytes)


APART = Bounds(calls=1000, streams=16, held_bytes=16 * APART_MAX_MESSAGE_BYTES)
# Callers who watch the health stay for ever, one for each client: they take no place of those who ask and leave.
WATCHES = Bounds(calls=16_384, streams=1, held_bytes=16_384 * 1024)


def apart_bounds(method: Method) -> Bounds:
    """Bounds of a method that counts apart; methods of other bounds take none of its places."""
    return WATCHES if isinstance(method, ServerStream) else APART


class Held:
    """What one call holds. Made by :meth:`Admission.admit`; ends with :meth:`close`.

    Attributes:
        evicted: Another call has its place now: its caller is to be told :meth:`refusal`.
        waiting_bytes: What waits for the caller: of a message that is not complete, and of answers that are not taken.
        held_bytes: That, and the requests that are being answered.
        since: When it last went on.
    """

    __slots__ = (
        *("_admission", "_cancel", "_closed", "_enough", "_received_bytes"),
        *("evicted", "held_bytes", "since", "waiting_bytes"),
    )

    def __init__(self, admission: "Admission", cancel: Callable[[], object], since: float) -> None:
        self.evicted = False
        self.held_bytes = self.waiting_bytes = 0
        self.since = since
        self._admission = admission
        self._cancel = cancel
        self._closed = False
        self._received_bytes = 0
        self._enough: asyncio.Event | None = None

    def receive(self, unfinished_bytes: int) -> None:
        """Say how much is here of a message that is not complete.

        Raises:
            Overloaded: There is no room for it.
        """
        if not self._received_bytes:  # a message begins: the silence before it was no slowness
            self.since = self._admission.now()
        more_bytes = unfinished_bytes - self._received_bytes
        self._received_bytes = unfinished_bytes
        self._grow(more_bytes, more_bytes)
        if self.evicted:
            raise self.refusal()

    def complete(self, message_bytes: int) -> None:
        """Say that the one message of a call is here: it keeps its place until the call is over.

        Raises:
            Overloaded: There is no room for it.
        """
        self._grow(message_bytes - self._received_bytes, -self._received_bytes)
        self._received_bytes = 0
        if self.evicted:
            raise self.refusal()

    def take(self, request_bytes: int) -> None:
        """Count a request of a stream; the call is cancelled where there is no room for it."""
        self._grow(request_bytes, 0)
        if self.evicted:
            self._cancel()

    def answered(self, request_bytes: int, answer_bytes: int) -> None:
        """Count a stream's answer in the place of its request; the call is cancelled where there is no room for it."""
        self._grow(answer_bytes - request_bytes, answer_bytes)
        if self.evicted:
            self._cancel()

    def taken(self, answer_bytes: int) -> None:
        """The caller has taken an answer."""
        self.since = self._admission.now()
        self._grow(-answer_bytes, -answer_bytes)

    async def room(self) -> None:
        """Wait until this stream holds little enough to read more of it."""
        while self.held_bytes - self._received_bytes > self._admission.stream_bytes:
            self._enough = asyncio.Event()
            await self._enough.wait()

    def evict(self, newest: "Held | None" = None) -> None:
        """Give its place away and cancel it; the newest call learns of it by itself."""
        self._admission.held_bytes -= self.held_bytes
        self.held_bytes = self.waiting_bytes = 0
        self.evicted = True
        if self is not newest:
            self._cancel()

    def refusal(self) -> Overloaded:
        """What the caller is told where there is no room, or where the call has lost its place."""
        return self._admission.refusal()

    def close(self) -> None:
        """The call is over; what its handler says of it from now on counts no longer."""
        self._admission.leave(self)
        self.held_bytes = self.waiting_bytes = 0
        self._closed = True

    def _grow(self, more_bytes: int, more_waiting_bytes: int) -> None:
        if self.evicted or self._closed:
            return
        self.held_bytes += more_bytes
        self.waiting_bytes += more_waiting_bytes
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
        self.held_bytes = 0
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
            kind, setting = ("streams", "max_streams") if stream else ("calls", "max_calls")
            raise Overloaded(f"{most} {kind} are open, the most that are taken at once ({setting})", _RETRY_SECONDS)
        held = Held(self, cancel, self.now())
        opened.add(held)
        return held

    def leave(self, held: Held) -> None:
        """A call is over."""
        self.held_bytes -= held.held_bytes
        self._calls.discard(held)
        self._streams.discard(held)

    def grow(self, held: Held, more_bytes: int) -> None:
        """A call holds so much more, or less; where that is too much, somebody makes room."""
        self.held_bytes += more_bytes
        if self.held_bytes > self._bounds.held_bytes and more_bytes > 0:
            self._make_room(held)

    def refusal(self) -> Overloaded:
        """What callers are told where there is no room."""
        return Overloaded(
            f"requests take {self._bounds.held_bytes} bytes, the most that are held at once (max_inflight_bytes); "
            "those that come slowest are refused",
            _RETRY_SECONDS,
        )

    def _make_room(self, newest: Held) -> None:
        """Evict the calls that have sent least in the time that they have had, until there is room."""
        now = self.now()

        def bytes_a_second(held: Held) -> float:
            return held.waiting_bytes / max(now - held.since, _SHORTEST_SECONDS)

        slow = [held for held in (*self._calls, *self._streams) if held.waiting_bytes]
        for held in sorted(slow, key=bytes_a_second):
            if self.held_bytes <= _KEPT_SHARE * self._bounds.held_bytes:
                return
            held.evict(newest)
        if self.held_bytes > self._bounds.held_bytes and not newest.evicted:
            newest.evict(newest)
