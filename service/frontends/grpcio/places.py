"""A call of grpc.aio in its place: admitted before it is read, ended with its status, given up when gRPC has done."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, NoReturn, TypeAlias, cast
from urllib.parse import unquote

import grpc
import grpc.aio

from service.errors import Overloaded, ServiceError
from service.frontends.grpcio.receiving import Receiving
from service.frontends.grpcio.unread import Unread
from service.metrics.metrics import Metrics
from service.rpc.admission import Admission, Held
from service.rpc.calls import BidiStream, Method
from service.rpc.ending import count_refusal, count_unread, count_unreadable, log_unreceived
from service.rpc.entrance import Entrance
from service.rpc.request import Metadata, RequestContext
from service.rpc.status import Code, RpcError, Unreadable
from service.tracing.traceparent import TRACEPARENT

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"

_STATUS: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_END: Any = grpc.aio.EOF  # a sentinel, whatever its type


class Places:
    """Admits calls of grpc.aio, and reads their messages.

    Args:
        admission: Which calls are taken.
        receiving: Bounds how many messages are received at once.
        unread: Ends calls whose answers nobody reads.
        streams_take_turns: Whether the messages of a stream wait for their turn too. A silent stream then gives way to
            others. Where a stream may be silent for as long as it likes, the number of streams bounds what they hold.
        metrics: Where refusals are counted.
        entrance: Finds out who calls.
    """

    def __init__(
        self,
        admission: Admission,
        receiving: Receiving,
        unread: Unread,
        metrics: Metrics,
        entrance: Entrance,
        *,
        streams_take_turns: bool,
    ) -> None:
        self.admission = admission
        self.entrance = entrance
        self.unread = unread
        self.metrics = metrics
        self._receiving = receiving
        self._streams_take_turns = streams_take_turns

    def place(self, method: Method, context: Context) -> "Place":
        """The place of a call, to be entered."""
        return Place(self, method, context)

    async def receive(self, held: Held, context: Context) -> bytes:
        """The one message of a call, or the end if none comes.

        Raises:
            Overloaded: There is no room for it.
        """
        message: bytes = await self._receiving.receive(held, context.peer, context.read)
        return message

    async def messages(self, held: Held, context: Context) -> AsyncIterator[bytes]:
        """The messages of a stream, as they come; grpc's own iterator costs half as much again."""
        if not self._streams_take_turns:
            while (message := await context.read()) is not _END:
                yield message
            return
        while (message := await self._receiving.receive(held, context.peer, context.read)) is not _END:
            yield message


class Place:
    """Around all that is done for a call: enter it first. What is raised within becomes the call's status.

    Attributes:
        call: Its context.
    """

    __slots__ = ("_came", "_context", "_ended", "_held", "_method", "_peer", "_places", "_task", "call")

    def __init__(self, places: Places, method: Method, context: Context) -> None:
        self._places = places
        self._method = method
        self._context = context
        self._ended = False
        self._came = False  # the one message of a call
        self._peer = ""
        task = asyncio.current_task()
        assert task is not None  # grpc.aio runs each call as one
        self._task = task
        self._held: Held | None = None
        self.call = _new_context(context, places.entrance)

    async def __aenter__(self) -> "Place":
        try:
            if self._places.entrance.has_tokens:
                self._places.entrance.authorize(self.call, self._method.path)
            held = self._places.admission.admit(stream=isinstance(self._method, BidiStream), cancel=self._cancel)
        except ServiceError as error:
            await self._refuse(error)
        self._held = held
        # Not at the end of the handler: gRPC holds the answer until the caller has read it.
        self._context.add_done_callback(self._leave)  # type: ignore[arg-type]
        if isinstance(self._method, BidiStream):
            self._peer = self._context.peer()  # gRPC crashes where it is asked once the call is over
        return self

    @property
    def held(self) -> Held:
        """What the call holds."""
        assert self._held is not None
        return self._held

    async def message(self) -> bytes:
        """The one message of the call.

        Raises:
            Overloaded: There is no room for it.
            grpc.aio.AbortError: The caller sends none, and was told.
        """
        message = await self._places.receive(self.held, self._context)
        if message is _END:
            await self._end_without_message()
        self.held.complete(len(message))
        self._came = True
        return message

    async def _end_without_message(self) -> NoReturn:
        """Tell the caller. One who has left or sent too much brings the same end, but then gRPC takes no status."""
        error = Unreadable(Code.INVALID_ARGUMENT, "the request holds 0 messages; wanted one")
        error.request_id = self.call.request_id
        try:
            await self._abort(error)
        except grpc.aio.AbortError:
            count_unreadable(self._method, error, self._places.metrics, self.call)
            raise

    def answer(self, answer_bytes: int) -> None:
        """Count the answer of a call with one, until the caller has read it.

        Raises:
            Overloaded: There is no room for it.
        """
        self.held.answer(answer_bytes)
        if self.held.unread_bytes:
            self._peer = self._context.peer()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            return
        if isinstance(error, RpcError):
            await self._abort(error)
        if isinstance(error, Overloaded):
            await self._refuse(error)
        if isinstance(error, asyncio.CancelledError) and not self._ended:
            if self.held.evicted:
                self._task.uncancel()
                await self._refuse(self.held.refusal())
            if not self._came:
                log_unreceived(self._method, self.call, error, stream=isinstance(self._method, BidiStream))

    def _cancel(self) -> None:
        """Another call needs its place: its caller is told, or has not read what it was told."""
        if not self.held.lost:
            self._task.cancel()
        elif not self._ended:
            self._ended = True
            count_unread(self._places.metrics)
            self._places.unread.end(self._task, self._peer or self._context.peer())

    def _leave(self, _: Context) -> None:
        """The call is over."""
        if self.held.unread_bytes:
            self._places.unread.leave(self.held, self._peer)
        else:
            self.held.close()

    async def _refuse(self, error: ServiceError) -> NoReturn:
        """End the call before its handler knows of it."""
        await self._abort(count_refusal(self._method, error, self._places.metrics, self.call))

    async def _abort(self, error: RpcError) -> NoReturn:
        """End the call with its status, or quietly where its caller has gone meanwhile."""
        try:
            await self._context.abort(_STATUS[error.code], error.message, tuple(error.trailers()))
        except grpc.aio.AbortError:
            raise
        except Exception as gone:  # its class has no public name, and grpc logs a traceback for it
            raise asyncio.CancelledError from gone


def _new_context(context: Context, entrance: Entrance) -> RequestContext:
    """What is known of a call; its deadline is on the clock of time.monotonic."""
    remaining: float | None = context.time_remaining()
    deadline = None if remaining is None else time.monotonic() + remaining
    metadata = cast(Metadata, context.invocation_metadata)
    call = RequestContext(deadline, metadata, head=entrance.head)
    if entrance.head is not None:
        for key, value in metadata():
            if key == TRACEPARENT:
                call.traceparent = value
                break
    if entrance.has_log:
        address = unquote(context.peer()).removeprefix("ipv4:").removeprefix("ipv6:")
        subject = next(iter(context.auth_context().get("x509_subject", ())), b"")
        entrance.log_call(call, address, subject.decode(errors="replace"))
    return call
