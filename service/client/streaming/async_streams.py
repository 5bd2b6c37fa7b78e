"""As streams.py, for asyncio: one task reads blocks, another takes the answers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, suppress

from google.protobuf.message import Message

from kan_api.v1.prediction_pb2 import PredictRequest, PredictStreamResponse
from service.client.answers import Prediction
from service.client.async_connection import AsyncConnection, drive
from service.client.connection import Rpc, Wait
from service.client.streaming.block_stream import PATH, BlockStream, StreamStep
from service.client.streaming.conversation import RowsLike

Blocks = Iterator[RowsLike] | AsyncIterator[RowsLike]


async def predictions(
    connection: AsyncConnection, stream: BlockStream, blocks: Blocks
) -> AsyncGenerator[Prediction, None]:
    """As :func:`service.client.streaming.streams.predictions`; the task that reads `blocks` is cancelled at the end."""
    await connection.run(stream.begin(), stream.deadline)
    tasks = _Tasks(connection, stream, blocks)
    try:
        while (prediction := await tasks.next_prediction()) is not None:
            yield prediction
    finally:
        await tasks.close()


class _Tasks:
    """The tasks of one stream: our reader of blocks, the connection's reader of requests, and the caller's."""

    def __init__(self, connection: AsyncConnection, stream: BlockStream, blocks: Blocks) -> None:
        self._connection = connection
        self._stream = stream
        self._blocks = blocks
        self._answers: AsyncGenerator[PredictStreamResponse, None] | None = None
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read(), name="read blocks")

    async def next_prediction(self) -> Prediction | None:
        """The next prediction; None after the last."""
        prediction = await drive(self._stream.next_prediction(), self._take)
        self._changed.set()
        return prediction

    async def close(self) -> None:
        """Cancel the stream and stop reading blocks."""
        try:
            if self._answers is not None:
                await self._answers.aclose()
        finally:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _take(self, step: Rpc[Message] | Wait | StreamStep) -> Message | None:
        self._changed.set()
        if not isinstance(step, StreamStep):
            return await self._connection.take(step, self._stream.deadline)
        if step is StreamStep.OPEN:
            requests = self._requests(self._stream.opened)
            self._answers = self._connection.stream(PATH, requests, PredictStreamResponse, self._stream.deadline)
        elif self._answers is not None:
            if step is StreamStep.RECEIVE:
                return await anext(self._answers, None)
            await self._answers.aclose()
        return None

    async def _requests(self, opened: int) -> AsyncGenerator[PredictRequest, None]:
        """The requests for the stream of that number."""
        while not self._stream.has_sent_all(opened):
            pause_seconds = self._stream.in_flight.pause_seconds()
            if (request := self._stream.in_flight.next_to_send()) is not None:
                yield request
            else:
                await self._wait(pause_seconds or None)

    async def _wait(self, seconds: float | None) -> None:
        """Wait until something has changed, at most that many seconds; None waits without a limit."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _read(self) -> None:
        try:
            async with aclosing(_asynchronous(self._blocks)) as blocks:
                async for block in blocks:
                    encoded_block = self._stream.block(block)
                    while not self._stream.in_flight.has_room(encoded_block):
                        await self._wait(None)
                    self._stream.in_flight.add(encoded_block)
                    self._changed.set()
        except BaseException as error:
            self._stream.end(error)
        else:
            self._stream.end(None)
        self._changed.set()


async def _asynchronous(blocks: Blocks) -> AsyncGenerator[RowsLike, None]:
    if isinstance(blocks, AsyncIterator):
        async for block in blocks:
            yield block
    else:
        for block in blocks:
            yield block
