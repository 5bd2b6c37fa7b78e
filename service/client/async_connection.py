"""A gRPC channel for asyncio. connection.py is the same for threads."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import aclosing, asynccontextmanager
from typing import Final, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from service.client.access import Access, PortLook
from service.client.channel import Options, Target
from service.client.connection import Deadline, Rpc, Steps, Wait, serialize
from service.client.errors import ClientError, NotConnected, cancellation, from_rpc_error, stream_error

_CLOSED = "the client is closed"

_Response = TypeVar("_Response", bound=Message, covariant=True)
_Result = TypeVar("_Result")
_Step = TypeVar("_Step")


class AsyncConnection:
    """As :class:`Connection`, for the tasks of one event loop. Create it while the loop runs."""

    def __init__(self, target: Target, options: Options, repeats: bool, access: Access) -> None:
        self.address: Final = target.address
        self._repeats = repeats
        self._access = access
        self._look = PortLook(target.address, access.tls)
        self._channel = _open_channel(target, (*options, *access.options()), access)

    async def run(self, steps: Steps[_Result], deadline: Deadline) -> _Result:
        """As :meth:`Connection.run`; a task that is cancelled cancels its call."""
        return await drive(steps, lambda step: self.take(step, deadline))

    async def take(self, step: Rpc[Message] | Wait, deadline: Deadline) -> Message | None:
        """As :meth:`Connection.take`."""
        if isinstance(step, Wait):
            await asyncio.sleep(step.within(deadline, self._repeats))
            return None
        method = self._channel.unary_unary(
            step.path,
            request_serializer=serialize,
            response_deserializer=step.response.FromString,
        )
        async with self._errors(deadline):
            answer = await method(step.request, timeout=deadline.left(), metadata=self._access.metadata())
        self._look.end()
        return answer

    async def stream(
        self, path: str, requests: AsyncGenerator[Message, None], response: type[_Response], deadline: Deadline
    ) -> AsyncGenerator[_Response, None]:
        """As :meth:`Connection.stream`; a task reads `requests` and ends with the stream.

        Answers are read into memory as soon as they arrive, so `requests` must bound how many are in flight. Otherwise
        a task of grpc.aio never ends if the server has ended the stream and we cancel it with unread answers.
        """
        method = self._channel.stream_stream(
            path, request_serializer=serialize, response_deserializer=response.FromString
        )
        async with self._errors(deadline):
            call = method(timeout=deadline.left(), metadata=self._access.metadata())

        async def write() -> None:
            async with aclosing(requests):
                async for request in requests:
                    await call.write(request)
            await call.done_writing()

        arrived: asyncio.Queue[_Response | None] = asyncio.Queue()  # None: the stream has ended

        async def read() -> None:
            try:
                async for answer in call:
                    arrived.put_nowait(answer)
            except grpc.aio.AioRpcError as error:
                failure = stream_error(error, self.address, deadline.seconds, deadline.left())
                raise await self._explained(failure, deadline) from error
            finally:
                arrived.put_nowait(None)

        tasks = [asyncio.create_task(each, name=f"stream {path}") for each in (write(), read())]
        try:
            async with self._errors(deadline):
                while (answer := await arrived.get()) is not None:
                    yield answer
                await tasks[1]
            self._look.end()
        finally:
            call.cancel()
            for task in tasks:
                task.cancel()
            # If the call failed, its writer failed too. Its error is dropped: the reader has raised the cause.
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        await self._channel.close()

    @asynccontextmanager
    async def _errors(self, deadline: Deadline) -> AsyncIterator[None]:
        """Turn errors of grpc into errors of this client."""
        try:
            yield
        except grpc.RpcError as error:
            raise await self._explained(from_rpc_error(error, self.address, deadline.seconds), deadline) from error
        except grpc.aio.UsageError:
            raise ValueError(_CLOSED) from None
        except asyncio.CancelledError:
            # grpc raises this too when the channel is closed during a call. In that case the task was not cancelled.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise cancellation(self.address) from None

    async def _explained(self, error: ClientError, deadline: Deadline) -> ClientError:
        if not isinstance(error, NotConnected):
            return error
        return await asyncio.to_thread(self._look.explained, error, deadline.left())


def _open_channel(target: Target, options: Options, access: Access) -> grpc.aio.Channel:
    credentials = access.credentials()
    if credentials is None:
        return grpc.aio.insecure_channel(target.uri, options=options)
    return grpc.aio.secure_channel(target.uri, credentials, options=options)


async def drive(
    steps: Generator[_Step, Message | None, _Result], take: Callable[[_Step], Awaitable[Message | None]]
) -> _Result:
    """As :func:`service.client.connection.drive`."""
    try:
        step = next(steps)
        while True:
            try:
                answer = await take(step)
            except ClientError as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        return cast(_Result, done.value)
