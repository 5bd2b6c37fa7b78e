"""Predictions for blocks of rows over a stream, for threads: blocks are read in one, answers taken in another."""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing

from kan_api.v1.prediction_pb2 import PredictRequest, PredictStreamResponse
from service.client.answers import Prediction
from service.client.block_stream import PATH, BlockStream, backoff_seconds, broke_off
from service.client.connection import Connection, Deadline
from service.client.conversation import Rows
from service.client.errors import Unavailable


def predictions(
    connection: Connection, stream: BlockStream, blocks: Iterator[Rows], deadline: Deadline, max_attempts: int
) -> Generator[Prediction, None, None]:
    """One prediction a block, in the order of the blocks.

    What goes wrong with a block is raised in its place, after the answers to those before it; so is what `blocks`
    itself raises.

    Args:
        connection: where to.
        stream: which model is asked, and how.
        blocks: is read in another thread, no further ahead than blocks may be under way.
        deadline: when all of it has to be over.
        max_attempts: how often a stream is opened at most to bring the next answer.

    Raises:
        ClientError: as :meth:`service.client.client.Client.predict_stream`.
    """
    connection.run(stream.begin(), deadline)
    feed = _Feed(stream, blocks)
    try:
        with closing(_answers(connection, feed, deadline, max_attempts)) as answers:
            for answer, rows in answers:
                steps = stream.prediction(answer, rows, connection.address, deadline.seconds)
                yield connection.run(steps, deadline)
        if feed.failure is not None:
            raise feed.failure
        stream.check_whole()
    finally:
        feed.close()


def _answers(
    connection: Connection, feed: "_Feed", deadline: Deadline, max_attempts: int
) -> Generator[tuple[PredictStreamResponse, int], None, None]:
    """Answers in the order of their blocks, over as many streams as it takes.

    The answer that ends an attempt's wait ends its count too: max_attempts bounds those that bring nothing.
    """
    attempts = 0
    while True:
        attempts += 1
        try:
            with closing(connection.stream(PATH, feed.requests(), PredictStreamResponse, deadline)) as answers:
                for answer in answers:
                    if attempts < max_attempts and broke_off(answer):
                        break
                    attempts = 1
                    feed.came(answer)
                    while (ready := feed.take()) is not None:
                        yield ready
                else:
                    return
        except Unavailable:
            if attempts >= max_attempts:
                raise
        time.sleep(min(backoff_seconds(attempts), deadline.left()))


class _Feed:
    """Reads blocks in a thread of its own, as there is room, and gives their requests to the stream that is open."""

    def __init__(self, stream: BlockStream, blocks: Iterator[Rows]) -> None:
        self.failure: BaseException | None = None
        self._stream = stream
        self._blocks = blocks
        self._turn = threading.Condition()
        self._open = 0
        self._whole = False
        self._closed = False
        # Not waited for at the end: it may be in the caller's iterator, which ends when it likes.
        threading.Thread(target=self._read, name="read blocks", daemon=True).start()

    def requests(self) -> Iterator[PredictRequest]:
        """The requests for a stream that is opened now; those of the one before end."""
        with self._turn:
            self._open += 1
            self._stream.restart()
            self._turn.notify_all()
            return self._requests(self._open)

    def came(self, answer: PredictStreamResponse) -> None:
        """As BlockStream has it."""
        with self._turn:
            self._stream.came(answer)

    def take(self) -> tuple[PredictStreamResponse, int] | None:
        """As BlockStream has it."""
        with self._turn:
            self._turn.notify_all()
            return self._stream.take()

    def close(self) -> None:
        """Read no further."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()

    def _requests(self, number: int) -> Iterator[PredictRequest]:
        while True:
            with self._turn:
                while (request := self._next(number)) is None:
                    if self._closed or self._whole or self._open != number:
                        return
                    self._turn.wait()
            yield request

    def _next(self, number: int) -> PredictRequest | None:
        return None if self._closed or self._open != number else self._stream.next_to_send()

    def _read(self) -> None:
        try:
            for block in self._blocks:
                request = self._stream.request(block)
                with self._turn:
                    while not (self._closed or self._stream.has_room(request)):
                        self._turn.wait()
                    if self._closed:
                        return
                    self._stream.add(request)
                    self._turn.notify_all()
        except BaseException as error:  # told to whoever takes predictions
            self.failure = error
        finally:
            with self._turn:
                self._whole = True
                self._turn.notify_all()
