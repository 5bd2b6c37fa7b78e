"""One gRPC call as an ASGI scope: its messages come in and go out in pieces of a body, its status in trailers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from service.frontends.asgi import framing
from service.frontends.asgi.framing import Deframer
from service.frontends.envoy import message_header
from service.rpc.admission import Held
from service.rpc.calls import RequestContext
from service.rpc.limits import UNREAD_BYTES
from service.rpc.status import Code, RpcError, Unreadable

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]

OK_TRAILERS = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]}
LAST_PIECE = {"type": "http.response.body", "body": b"", "more_body": False}
CONTENT_TYPE = b"application/grpc"
# A caller who sends a message in many small pieces is read so often: each piece wakes Envoy's threads and Python's. A
# client that cuts its messages in a few pieces, such as one for the prefix, never waits.
_SMALL_PIECE_BYTES = 1024
_SMALL_PIECES = 16
_GATHERING_SECONDS = 0.02
# A long answer is handed to Envoy in pieces of so many bytes: each costs a turn of three threads.
_PIECE_BYTES = 512 * 1024


def _start(*headers: tuple[bytes, bytes], trailers: bool = True, status: int = 200) -> Mapping[str, Any]:
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", CONTENT_TYPE), *headers],
        "trailers": trailers,
    }


_ACCEPT = (b"grpc-accept-encoding", ",".join(framing.ENCODINGS).encode())
_START = {
    encoding: _start(_ACCEPT) if encoding == "identity" else _start((b"grpc-encoding", encoding.encode()), _ACCEPT)
    for encoding in framing.ENCODINGS
}


@dataclass(eq=False, slots=True)
class OpenCall:
    """A call that is being answered.

    Attributes:
        body_read: The request is there: from now on ``receive`` only tells whether the caller has gone. Where the
            request came in a header, it gives the body first.
        since_slot, look_slot, asked: Of :class:`service.frontends.asgi.caller_watch.CallerWatch`: when the call was
            opened, when it is looked at next (-1 once it is over), and whether an answer of ``receive`` is awaited.
    """

    task: "asyncio.Task[Any]"
    receive: Receive
    send: Send
    encoding: str
    headers: Mapping[bytes, bytes]
    held: Held
    context: RequestContext
    body_read: bool = False
    started: bool = False
    late: bool = False
    since_slot: int = 0
    look_slot: int = -1
    asked: bool = False
    _small_pieces: int = 0

    def start(self) -> Mapping[str, Any]:
        """The message that begins the answer."""
        self.started = True
        return _START[self.encoding]

    async def next_piece(self) -> Mapping[str, Any]:
        """The next piece of the request's body: ASGI's http.request.

        Raises:
            CancelledError: The caller has gone.
        """
        event = await self.receive()
        if event["type"] == "http.disconnect":
            raise asyncio.CancelledError
        return event

    async def piece(self, framed: bytes) -> None:
        """Send a part of the answer; returns once it may be followed by more."""
        if not self.started:
            await self.send(self.start())
        await self.send({"type": "http.response.body", "body": framed, "more_body": True})

    async def answer(self, framed: bytes) -> None:
        """Send the one answer; returns once all but a stream's window of it has been read.

        Envoy takes a piece where it has less than a window of those before: the rest waits here, where it is counted
        and may be given up. The end must not wait in Envoy: it drops what nobody reads once it has the end.
        """
        last = LAST_PIECE
        if len(framed) > UNREAD_BYTES:
            for at in range(0, len(framed), _PIECE_BYTES):
                await self.piece(framed[at : at + _PIECE_BYTES])
            await self.piece(b"")
        else:
            await self.send(self.start())
            last = {"type": "http.response.body", "body": framed, "more_body": False}
        await self.send(last)
        await self.send(OK_TRAILERS)

    async def feed(self, piece: bytes, deframer: Deframer) -> list[bytes]:
        """The messages that are complete with this piece, which is counted. :meth:`Deframer.check` tells of faults.

        Raises:
            Overloaded: There is no room for it.
        """
        messages = deframer.feed(piece)
        self.held.receive(deframer.held_bytes)
        if messages or deframer.empty or len(piece) > _SMALL_PIECE_BYTES:
            self._small_pieces = 0
        else:
            self._small_pieces += 1
            if self._small_pieces > _SMALL_PIECES:
                await asyncio.sleep(_GATHERING_SECONDS)
        return messages


async def one_message(call: OpenCall, deframer: Deframer) -> bytes:
    """The one message of a request.

    Raises:
        Overloaded: There is no room for it.
        Unreadable: It is none.
    """
    body = message_header.body_in(call.headers)
    messages = [] if body is None else deframer.feed(body)
    deframer.check()
    more = body is None
    while more:
        event = await call.next_piece()
        messages += await call.feed(event["body"], deframer)
        deframer.check()
        more = event["more_body"]
    call.body_read = True
    if len(messages) != 1 or not deframer.empty:
        raise Unreadable(
            Code.INVALID_ARGUMENT,
            f"the request holds {len(messages)} messages{'' if deframer.empty else ' and a part of one'}; wanted one",
        )
    call.held.complete(len(messages[0]))
    return messages[0]


async def messages(call: OpenCall, deframer: Deframer) -> AsyncIterator[bytes]:
    """The messages of a stream, as they come, up to the first one that cannot be read.

    Raises:
        Overloaded: There is no room for more.
        Unreadable: They are none.
    """
    more = True
    while more:
        event = await call.receive()
        if event["type"] == "http.disconnect":
            call.task.cancel()
            return
        for message in await call.feed(event["body"], deframer):
            yield message
        deframer.check()
        more = event["more_body"]
    call.body_read = True
    if not deframer.empty:
        raise Unreadable(Code.INVALID_ARGUMENT, "the stream of requests ends within a message")


async def end_grpc(send: Send, error: RpcError, *, started: bool) -> None:
    """End a call with a status: in the trailers, or in the headers where there were none yet."""
    headers = framing.status_headers(error)
    if started:
        await send(LAST_PIECE)
        await send({"type": "http.response.trailers", "headers": headers})
    else:
        await send(_start(_ACCEPT, *headers, trailers=False))
        await send(LAST_PIECE)
