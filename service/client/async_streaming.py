"""As streaming.py, for asyncio: blocks are read in one task, answers taken in another."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

from kan_api.v1.prediction_pb2 import PredictRequest, PredictStreamResponse
from service.client.answers import Prediction
from service.client.async_connection import AsyncConnection
from service.client.block_stream import PATH, BlockStream, backoff_seconds, broke_off
from service.client.connection import Deadline
from service.client.conversation import Rows
from service.client.errors import Unavailable

Blocks = Iterator[Rows] | AsyncIterator[Rows]


async def predictions(
    connection: AsyncConnection, stream: BlockStream, blocks: Blocks, deadline: Deadline, max_attempts: int
) -> AsyncGenerator[Prediction, None]:
    """As :func:`service.client.streaming.predictions`; the task that reads `blocks` is cancelled at the end."""
    await connection.run(stream.begin(), deadline)
    feed = _Feed(stream, blocks)
    try:
        async with aclosing(_answers(connection, stream, feed, deadline, max_attempts)) as answers:
            async for answer, rows in answers:
                steps = stream.prediction(answer, rows, connection.address, deadline.seconds)
                yield await connection.run(steps, deadline)
        if feed.failure is not None:
            raise feed.failure
        stream.check_whole()
    finally:
        await feed.close()


async def _answers(
    connection: AsyncConnection, stream: BlockStream, feed: "_Feed", deadline: Deadline, max_attempts: int
) -> AsyncGenerator[tuple[PredictStreamResponse, int], None]:
    """As :func:`service.client.streaming._answers`."""
    attempts = 0
    while True:
        attempts += 1
        try:
            async with aclosing(connection.stream(PATH, feed.requests(), PredictStreamResponse, deadline)) as answers:
                async for answer in answers:
                    if attempts < max_attempts and broke_off(answer):
                        break
                    attempts = 1
                    stream.came(answer)
                    while (ready := stream.take()) is not None:
                        feed.changed.set()
                        yield ready
                else:
                    return
        except Unavailable:
            if attempts >= max_attempts:
                raise
        await asyncio.sleep(min(backoff_seconds(attempts), deadline.left()))


class _Feed:
    """Reads blocks in a task of its own, as there is room, and gives their requests to the stream that is open."""

    def __init__(self, stream: BlockStream, blocks: Blocks) -> None:
        self.failure: BaseException | None = None
        self.changed = asyncio.Event()
        self._stream = stream
        self._blocks = blocks
        self._whole = False
        self._closed = False
        self._reading = asyncio.create_task(self._read(), name="read blocks")

    async def requests(self) -> AsyncGenerator[PredictRequest, None]:
        """The requests for a stream that is opened now; the one before has ended."""
        self._stream.restart()
        while True:
            while (request := self._stream.next_to_send()) is None:
                if self._whole:
                    return
                self.changed.clear()
                await self.changed.wait()
            yield request

    async def close(self) -> None:
        """Read no further."""
        self._closed = True
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async with aclosing(_asynchronous(self._blocks)) as blocks:
                async for block in blocks:
                    request = self._stream.request(block)
                    while not self._stream.has_room(request):
                        self.changed.clear()
                        await self.changed.wait()
                    self._stream.add(request)
                    self.changed.set()
        except BaseException as error:
            if not self._closed:  # told to whoever takes predictions
                self.failure = error
        finally:
            self._whole = True
            self.changed.set()


async def _asynchronous(blocks: Blocks) -> AsyncGenerator[Rows, None]:
    if isinstance(blocks, AsyncIterator):
        async for block in blocks:
            yield block
    else:
        for block in blocks:
            yield block
