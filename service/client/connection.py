"""A channel for threads: deadlines, calls without generated stubs."""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, Self, TypeAlias, TypeVar, cast

import grpc
from google.protobuf.message import Message

from service.client.channel import Options, Target
from service.client.errors import ClientError, Overloaded, from_rpc_error, from_status

# What grpc says where a server ends a stream without a word that reaches us: while a request is being sent (grpc.aio,
# as INTERNAL), or before its handler was called.
_ENDED = ("Internal error from Core", "CANCELLED")

# Of the time that is left, so much may be waited; the rest is for the call.
_TRY_SHARE = 0.8

_Response = TypeVar("_Response", bound=Message, covariant=True)
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Rpc(Generic[_Response]):
    """One call without its deadline.

    path      "/package.Service/Method"
    request   the message to send
    response  the type of the message to receive
    """

    path: str
    request: Message
    response: type[_Response]

    def answer(self) -> "Steps[_Response]":
        """The call as a step: `response = yield from rpc.answer()`."""
        return cast(_Response, (yield self))


@dataclass(frozen=True)
class Pause:
    """A wait before a call is sent again.

    error    why; it is thrown where the wait is of no use: repeats are switched off, or the deadline would pass
    least    seconds before which another try is useless
    seconds  how long to wait
    """

    error: Overloaded
    least: float
    seconds: float

    def over(self) -> "Steps[None]":
        """The wait as a step: `yield from pause.over()`."""
        yield self

    def within(self, deadline: "Deadline", repeats: bool) -> float:
        """How long to wait, by what time there is.

        Raises:
            Overloaded: `error`.
        """
        left = deadline.left()
        if not repeats or self.least >= _TRY_SHARE * left:
            raise self.error
        return min(self.seconds, _TRY_SHARE * left)


# Something that takes calls one after the other, whoever makes them: yields each call, is sent its response, and gets
# a ClientError thrown where there is none; or yields a pause.
Steps: TypeAlias = Generator["Rpc[Message] | Pause", Message | None, _Result]


@dataclass(frozen=True)
class Deadline:
    """When something that takes several calls has to be over: `at` in monotonic seconds, `seconds` after its start."""

    seconds: float
    at: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """So many seconds from now.

        Raises:
            ValueError: when that is not a positive number, or years.
        """
        if not 0.0 < seconds < 1e7:
            raise ValueError(f"timeout_seconds is {seconds}, wanted a positive number of seconds below 1e7")
        return cls(seconds, time.monotonic() + seconds)

    def left(self) -> float:
        """Seconds until then; 0 once it has passed."""
        return max(0.0, self.at - time.monotonic())


class Connection:
    """A channel that connects by itself, and again after it was cut; calls may come from any thread.

    Args:
        target: where to; `address` is how it is shown.
        options: of :func:`service.client.channel.options`.
        repeats: whether a call that was refused for lack of room is sent again after a pause.
    """

    def __init__(self, target: Target, options: Options, repeats: bool) -> None:
        self.address: Final = target.shown
        self._repeats = repeats
        self._channel = grpc.insecure_channel(target.uri, options=options)

    def run(self, steps: Steps[_Result], deadline: Deadline) -> _Result:
        """Make the calls of all steps.

        Args:
            steps: what to do.
            deadline: when all of it has to be over.

        Returns:
            What the steps come to.

        Raises:
            ClientError: of the kind that fits, when there is no answer.
            ValueError: when the connection is closed.
        """
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._take(step, deadline)
                except ClientError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            return cast(_Result, done.value)

    def _take(self, step: Rpc[Message] | Pause, deadline: Deadline) -> Message | None:
        if isinstance(step, Rpc):
            return self._call(step, deadline)
        time.sleep(step.within(deadline, self._repeats))
        return None

    def _call(self, rpc: Rpc[_Response], deadline: Deadline) -> _Response:
        method = self._channel.unary_unary(
            rpc.path,
            request_serializer=type(rpc.request).SerializeToString,
            response_deserializer=rpc.response.FromString,
        )
        with self._errors(deadline):
            return method(rpc.request, timeout=deadline.left())

    def stream(
        self, path: str, requests: Iterator[Message], response: type[_Response], deadline: Deadline
    ) -> Generator[_Response, None, None]:
        """The answers on one stream of requests, as they come; close it to cancel the stream.

        Args:
            path: "/package.Service/Method".
            requests: is read in a thread of gRPC's, a message ahead of what the server takes; must not raise.
            response: the type of the messages to receive.
            deadline: when all of it has to be over.

        Raises:
            ClientError, ValueError: as :meth:`run`.
        """
        method = self._channel.stream_stream(
            path, request_serializer=serialized, response_deserializer=response.FromString
        )
        call = method(requests, timeout=deadline.left())
        try:
            yield from call
        except grpc.RpcError as error:
            raise stream_error(error, self.address, deadline) from error
        finally:
            call.cancel()

    def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._channel.close()

    @contextmanager
    def _errors(self, deadline: Deadline) -> Iterator[None]:
        """Grpc's errors as ours."""
        try:
            yield
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.address, deadline.seconds) from error


def serialized(message: Message) -> bytes:
    """The message as it goes over the wire."""
    return message.SerializeToString()


def stream_error(error: grpc.RpcError, address: str, deadline: Deadline) -> ClientError:
    """The error that a failed stream becomes."""
    if cast(grpc.Call, error).details() not in _ENDED:
        return from_rpc_error(error, address, deadline.seconds)
    code = grpc.StatusCode.UNAVAILABLE if deadline.left() else grpc.StatusCode.DEADLINE_EXCEEDED
    return from_status(code, "the server ended the stream", address, deadline.seconds)
