"""Predictions for blocks of rows over a stream: one thread reads blocks, another takes the answers."""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing

from kan_api.v1.prediction_pb2 import PredictRequest, PredictStreamResponse
from service.client.answers import Prediction
from service.client.connection import Connection, Deadline
from service.client.errors import Overloaded, Unavailable
from service.client.streaming.block_stream import PATH, Block, BlockStream, backoff_seconds, broke_off
from service.client.streaming.conversation import RowsLike


def predictions(
    connection: Connection, stream: BlockStream, blocks: Iterator[RowsLike]
) -> Generator[Prediction, None, None]:
    """One prediction a block, in the order of the blocks.

    If a block fails, or `blocks` raises, the predictions of all earlier blocks come first; then the error is raised.

    Args:
        connection: to the server.
        stream: has the model and the state of the blocks.
        blocks: the rows. Another thread reads them, as far ahead as the limits of blocks in flight allow.

    Raises:
        ClientError: as :meth:`service.client.client.Client.predict_stream`.
    """
    connection.run(stream.begin(), stream.deadline)
    feed = _Feed(stream, blocks)
    try:
        with closing(_answered(connection, feed, stream.deadline, stream.max_attempts)) as answered:
            for block in answered:
                prediction = connection.run(stream.prediction(block), stream.deadline)
                feed.settle(block, prediction is not None)
                if prediction is not None:
                    yield prediction
        if feed.failure is not None:
            raise feed.failure
        stream.check_all_answered()
    finally:
        feed.close()


def _answered(
    connection: Connection, feed: "_Feed", deadline: Deadline, max_attempts: int
) -> Generator[Block, None, None]:
    """Blocks whose answers have arrived, in order. The caller settles each block before it takes the next.

    If a stream breaks, another one is opened. An answer resets the attempt counter: `max_attempts` limits consecutive
    attempts without any answer.
    """
    attempts = 0
    while True:
        attempts += 1
        has_answers = False
        try:
            with closing(connection.stream(PATH, feed.requests(), PredictStreamResponse, deadline)) as answers:
                for answer in answers:
                    if attempts < max_attempts and broke_off(answer):
                        break
                    attempts, has_answers = 1, True
                    feed.answer_arrived(answer)
                    while (block := feed.ready()) is not None:
                        yield block
                else:
                    if not (has_answers and feed.has_unsent()):
                        return
                    # The requests had ended when the last block was refused, or had to be sent again for another
                    # version. It is sent on another stream.
                    attempts = 0
                    continue
        except Overloaded as error:
            attempts = 0
            time.sleep(feed.refused(error))
            continue
        except Unavailable:
            if attempts >= max_attempts:
                raise
        time.sleep(min(backoff_seconds(attempts), deadline.left()))


class _Feed:
    """Reads blocks in its own thread while there is room, and gives their requests to the open stream."""

    def __init__(self, stream: BlockStream, blocks: Iterator[RowsLike]) -> None:
        self.failure: BaseException | None = None
        self._stream = stream
        self._blocks = blocks
        self._turn = threading.Condition()
        self._open = 0
        self._all_read = False
        self._closed = False
        # `close` does not join this thread: it may be blocked in the caller's iterator for any time.
        threading.Thread(target=self._read, name="read blocks", daemon=True).start()

    def requests(self) -> Iterator[PredictRequest]:
        """The requests for a stream that is opened now. The requests of the previous stream end."""
        with self._turn:
            self._open += 1
            self._stream.restart()
            self._turn.notify_all()
            return self._requests(self._open)

    def answer_arrived(self, answer: PredictStreamResponse) -> None:
        """As BlockStream.answer_arrived, under the lock."""
        with self._turn:
            self._stream.answer_arrived(answer)
            self._turn.notify_all()

    def refused(self, error: Overloaded) -> float:
        """As BlockStream.refused, under the lock."""
        with self._turn:
            return self._stream.refused(error)

    def ready(self) -> Block | None:
        """As BlockStream.ready, under the lock."""
        with self._turn:
            return self._stream.ready()

    def settle(self, block: Block, answered: bool) -> None:
        """As BlockStream.settle, under the lock."""
        with self._turn:
            self._stream.settle(block, answered)
            self._turn.notify_all()

    def has_unsent(self) -> bool:
        """As BlockStream.has_unsent, under the lock."""
        with self._turn:
            return self._stream.has_unsent()

    def close(self) -> None:
        """Stop reading blocks."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()

    def _requests(self, number: int) -> Iterator[PredictRequest]:
        while (request := self._await_request(number)) is not None:
            yield request

    def _await_request(self, number: int) -> PredictRequest | None:
        """The next request on the stream of that number; None if there will be no more."""
        with self._turn:
            while not (self._closed or self._open != number):
                pause_seconds = self._stream.pause_seconds()
                if (request := self._stream.next_to_send()) is not None:
                    return request
                if self._all_read and not self._stream.has_unsent():
                    break
                self._turn.wait(pause_seconds or None)
        return None

    def _read(self) -> None:
        try:
            for block in self._blocks:
                taken = self._stream.block(block)
                with self._turn:
                    while not (self._closed or self._stream.has_room(taken)):
                        self._turn.wait()
                    if self._closed:
                        return
                    self._stream.add(taken)
                    self._turn.notify_all()
        except BaseException as error:  # `predictions` raises it
            self.failure = error
        finally:
            with self._turn:
                self._all_read = True
                self._turn.notify_all()
