"""As streams.py, for asyncio: one task reads blocks, another takes the answers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, suppress

from kan_api.v1.prediction_pb2 import PredictRequest, PredictStreamResponse
from service.client.answers import Prediction
from service.client.async_connection import AsyncConnection
from service.client.errors import Overloaded, Unavailable
from service.client.streaming.block_stream import PATH, Block, BlockStream, backoff_seconds, broke_off
from service.client.streaming.conversation import RowsLike

Blocks = Iterator[RowsLike] | AsyncIterator[RowsLike]


async def predictions(
    connection: AsyncConnection, stream: BlockStream, blocks: Blocks
) -> AsyncGenerator[Prediction, None]:
    """As :func:`service.client.streaming.streams.predictions`; the task that reads `blocks` is cancelled at the end."""
    await connection.run(stream.begin(), stream.deadline)
    feed = _Feed(stream, blocks)
    try:
        async with aclosing(_answered(connection, stream, feed)) as answered:
            async for block in answered:
                prediction = await connection.run(stream.prediction(block), stream.deadline)
                stream.settle(block, prediction is not None)
                feed.changed.set()
                if prediction is not None:
                    yield prediction
        if feed.failure is not None:
            raise feed.failure
        stream.check_all_answered()
    finally:
        await feed.close()


async def _answered(connection: AsyncConnection, stream: BlockStream, feed: "_Feed") -> AsyncGenerator[Block, None]:
    """As :func:`service.client.streaming.streams._answered`."""
    attempts, deadline = 0, stream.deadline
    while True:
        attempts += 1
        has_answers = False
        try:
            async with aclosing(connection.stream(PATH, feed.requests(), PredictStreamResponse, deadline)) as answers:
                async for answer in answers:
                    if attempts < stream.max_attempts and broke_off(answer):
                        break
                    attempts, has_answers = 1, True
                    stream.answer_arrived(answer)
                    feed.changed.set()
                    while (block := stream.ready()) is not None:
                        yield block
                else:
                    if not (has_answers and stream.has_unsent()):
                        return
                    attempts = 0
                    continue
        except Overloaded as error:
            attempts = 0
            await asyncio.sleep(stream.refused(error))
            continue
        except Unavailable:
            if attempts >= stream.max_attempts:
                raise
        await asyncio.sleep(min(backoff_seconds(attempts), deadline.left()))


class _Feed:
    """Reads blocks in its own task while there is room, and gives their requests to the open stream."""

    def __init__(self, stream: BlockStream, blocks: Blocks) -> None:
        self.failure: BaseException | None = None
        self.changed = asyncio.Event()
        self._stream = stream
        self._blocks = blocks
        self._all_read = False
        self._closed = False
        self._reading = asyncio.create_task(self._read(), name="read blocks")

    async def requests(self) -> AsyncGenerator[PredictRequest, None]:
        """The requests for a stream that is opened now. The previous stream has ended."""
        self._stream.restart()
        while True:
            pause_seconds = self._stream.pause_seconds()
            if (request := self._stream.next_to_send()) is not None:
                yield request
            elif self._all_read and not self._stream.has_unsent():
                return
            else:
                await self._wait(pause_seconds or None)

    async def _wait(self, seconds: float | None) -> None:
        """Wait until something has changed, at most that many seconds; None waits without a limit."""
        self.changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.changed.wait()

    async def close(self) -> None:
        """Stop reading blocks."""
        self._closed = True
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async with aclosing(_asynchronous(self._blocks)) as blocks:
                async for block in blocks:
                    taken = self._stream.block(block)
                    while not self._stream.has_room(taken):
                        await self._wait(None)
                    self._stream.add(taken)
                    self.changed.set()
        except BaseException as error:
            if not self._closed:  # `predictions` raises it
                self.failure = error
        finally:
            self._all_read = True
            self.changed.set()


async def _asynchronous(blocks: Blocks) -> AsyncGenerator[RowsLike, None]:
    if isinstance(blocks, AsyncIterator):
        async for block in blocks:
            yield block
    else:
        for block in blocks:
            yield block
