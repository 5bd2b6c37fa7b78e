"""Predictions for blocks of rows over a stream, for threads: blocks are read in one, answers taken in another."""

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

    What goes wrong with a block is raised in its place, after the answers to those before it; so is what `blocks`
    itself raises.

    Args:
        connection: where to.
        stream: which model is asked, and how.
        blocks: is read in another thread, no further ahead than blocks may be under way.

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
        stream.check_whole()
    finally:
        feed.close()


def _answered(
    connection: Connection, feed: "_Feed", deadline: Deadline, max_attempts: int
) -> Generator[Block, None, None]:
    """Blocks whose answers have come, in order, over as many streams as it takes; each is settled before the next.

    An answer resets the count of attempts: max_attempts limits consecutive attempts without any answer.
    """
    attempts = 0
    while True:
        attempts += 1
        came = False
        try:
            with closing(connection.stream(PATH, feed.requests(), PredictStreamResponse, deadline)) as answers:
                for answer in answers:
                    if attempts < max_attempts and broke_off(answer):
                        break
                    attempts, came = 1, True
                    feed.came(answer)
                    while (block := feed.ready()) is not None:
                        yield block
                else:
                    if not (came and feed.has_unsent()):
                        return
                    # All had been sent when the last of them was refused, or has to be asked anew: on another stream.
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
    """Reads blocks in a thread of its own, as there is room, and gives their requests to the stream that is open."""

    def __init__(self, stream: BlockStream, blocks: Iterator[RowsLike]) -> None:
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
            self._stream.answer_arrived(answer)
            self._turn.notify_all()

    def refused(self, error: Overloaded) -> float:
        """As BlockStream has it."""
        with self._turn:
            return self._stream.refused(error)

    def ready(self) -> Block | None:
        """As BlockStream has it."""
        with self._turn:
            return self._stream.ready()

    def settle(self, block: Block, answered: bool) -> None:
        """As BlockStream has it."""
        with self._turn:
            self._stream.settle(block, answered)
            self._turn.notify_all()

    def has_unsent(self) -> bool:
        """As BlockStream has it."""
        with self._turn:
            return self._stream.has_unsent()

    def close(self) -> None:
        """Read no further."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()

    def _requests(self, number: int) -> Iterator[PredictRequest]:
        while (request := self._await_request(number)) is not None:
            yield request

    def _await_request(self, number: int) -> PredictRequest | None:
        """The next request; None where there will be none on the stream of that number."""
        with self._turn:
            while not (self._closed or self._open != number):
                pause_seconds = self._stream.pause_seconds()
                if (request := self._stream.next_to_send()) is not None:
                    return request
                if self._whole and not self._stream.has_unsent():
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
        except BaseException as error:  # told to whoever takes predictions
            self.failure = error
        finally:
            with self._turn:
                self._whole = True
                self._turn.notify_all()
