"""Channels for threads and for asyncio: deadlines, calls without generated stubs."""

import asyncio
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, Generic, Self, TypeAlias, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from service.client.channel import Options, Target
from service.client.errors import cancelled, from_rpc_error

_CLOSED = "the client is closed"

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


# Something that takes calls one after the other, whoever makes them: yields each call and is sent its response.
Steps: TypeAlias = Generator[Rpc[Message], Message, _Result]


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
        target: where to.
        options: of :func:`service.client.channel.options`.
    """

    def __init__(self, target: Target, options: Options) -> None:
        self._shown: Final = target.shown
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
            rpc = next(steps)
            while True:
                rpc = steps.send(self._call(rpc, deadline))
        except StopIteration as done:
            return cast(_Result, done.value)

    def _call(self, rpc: Rpc[_Response], deadline: Deadline) -> _Response:
        method = self._channel.unary_unary(
            rpc.path,
            request_serializer=type(rpc.request).SerializeToString,
            response_deserializer=rpc.response.FromString,
        )
        try:
            return method(rpc.request, timeout=deadline.left())
        except grpc.RpcError as error:
            raise from_rpc_error(error, self._shown, deadline.seconds) from error

    def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._channel.close()


class AsyncConnection:
    """As :class:`Connection`, for the tasks of one event loop; make it while that runs."""

    def __init__(self, target: Target, options: Options) -> None:
        self._shown: Final = target.shown
        self._channel = grpc.aio.insecure_channel(target.uri, options=options)

    async def run(self, steps: Steps[_Result], deadline: Deadline) -> _Result:
        """As :meth:`Connection.run`; a task that is cancelled cancels its call."""
        try:
            rpc = next(steps)
            while True:
                rpc = steps.send(await self._call(rpc, deadline))
        except StopIteration as done:
            return cast(_Result, done.value)

    async def _call(self, rpc: Rpc[_Response], deadline: Deadline) -> _Response:
        method = self._channel.unary_unary(
            rpc.path,
            request_serializer=type(rpc.request).SerializeToString,
            response_deserializer=rpc.response.FromString,
        )
        try:
            return await method(rpc.request, timeout=deadline.left())
        except grpc.RpcError as error:
            raise from_rpc_error(error, self._shown, deadline.seconds) from error
        except grpc.aio.UsageError:
            raise ValueError(_CLOSED) from None
        except asyncio.CancelledError:
            # grpc raises this too when the channel is closed below a call. Nobody cancelled the task then.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise cancelled(self._shown) from None

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        await self._channel.close()
