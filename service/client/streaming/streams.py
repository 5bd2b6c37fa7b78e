"""Predictions for blocks of rows over a stream: one thread reads blocks, another takes the answers."""

import threading
from collections.abc import Generator, Iterator

from google.protobuf.message import Message

from kan_api.v1.prediction_pb2 import PredictRequest, PredictStreamResponse
from service.client.answers import Prediction
from service.client.connection import Connection, Rpc, Wait, drive
from service.client.streaming.block_stream import PATH, BlockStream, StreamStep
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
    threads = _Threads(connection, stream, blocks)
    try:
        while (prediction := threads.next_prediction()) is not None:
            yield prediction
    finally:
        threads.close()


class _Threads:
    """The threads of one stream, in turns: our reader of blocks, gRPC's reader of requests, and the caller."""

    def __init__(self, connection: Connection, stream: BlockStream, blocks: Iterator[RowsLike]) -> None:
        self._connection = connection
        self._stream = stream
        self._blocks = blocks
        self._answers: Generator[PredictStreamResponse, None, None] | None = None
        self._turn = threading.Condition()  # held while the state of the stream changes
        self._closed = False
        # `close` does not join this thread: it may be blocked in the caller's iterator for any time.
        threading.Thread(target=self._read, name="read blocks", daemon=True).start()

    def next_prediction(self) -> Prediction | None:
        """The next prediction; None after the last."""
        with self._turn:
            prediction = drive(self._stream.next_prediction(), self._take)
            self._turn.notify_all()
            return prediction

    def close(self) -> None:
        """Cancel the stream and stop reading blocks."""
        try:
            if self._answers is not None:
                self._answers.close()
        finally:
            with self._turn:
                self._closed = True
                self._turn.notify_all()

    def _take(self, step: Rpc[Message] | Wait | StreamStep) -> Message | None:
        """Do one step, while others take their turns."""
        self._turn.notify_all()
        opened = self._stream.opened
        self._turn.release()
        try:
            if not isinstance(step, StreamStep):
                return self._connection.take(step, self._stream.deadline)
            if step is StreamStep.OPEN:
                self._answers = self._connection.stream(
                    PATH, self._requests(opened), PredictStreamResponse, self._stream.deadline
                )
            elif self._answers is not None:
                if step is StreamStep.RECEIVE:
                    return next(self._answers, None)
                self._answers.close()
            return None
        finally:
            self._turn.acquire()

    def _requests(self, opened: int) -> Iterator[PredictRequest]:
        """The requests for the stream of that number."""
        while (request := self._await_request(opened)) is not None:
            yield request

    def _await_request(self, opened: int) -> PredictRequest | None:
        """The next request; None if there will be no more."""
        with self._turn:
            while not (self._closed or self._stream.has_sent_all(opened)):
                pause_seconds = self._stream.in_flight.pause_seconds()
                if (request := self._stream.in_flight.next_to_send()) is not None:
                    return request
                self._turn.wait(pause_seconds or None)
        return None

    def _read(self) -> None:
        try:
            for block in self._blocks:
                encoded_block = self._stream.block(block)
                with self._turn:
                    while not (self._closed or self._stream.in_flight.has_room(encoded_block)):
                        self._turn.wait()
                    if self._closed:
                        return
                    self._stream.in_flight.add(encoded_block)
                    self._turn.notify_all()
        except BaseException as error:
            self._end(error)
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        with self._turn:
            self._stream.end(error)
            self._turn.notify_all()
