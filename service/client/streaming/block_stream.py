"""A stream of blocks, without a transport: what is sent, what each answer means, and when another stream is opened."""

import enum
import logging
from collections.abc import Generator, Mapping
from typing import Final, TypeAlias, TypeVar, cast

import grpc
import numpy as np
from google.protobuf.message import Message

from kan_api.v1 import manifest_pb2, prediction_pb2
from service.client.answers import Prediction, join_answers
from service.client.connection import Deadline, Rpc, Steps, Wait
from service.client.errors import ClientError, Overloaded, Unavailable, from_status
from service.client.limits import widest
from service.client.streaming.block import Block, BlockEncoder
from service.client.streaming.blocks_in_flight import BlocksInFlight
from service.client.streaming.chunks import VersionGone
from service.client.streaming.conversation import MOST_FRESH_STARTS, Conversation, RowsLike, inputs_of
from service.client.streaming.pace import backoff_seconds

PATH: Final = "/kan_api.v1.PredictionService/PredictStream"

_FAILURES: Final[Mapping[int, grpc.StatusCode]] = {
    code.value[0]: code for code in grpc.StatusCode if code is not grpc.StatusCode.OK
}
_UNAVAILABLE: Final = grpc.StatusCode.UNAVAILABLE.value[0]
_log = logging.getLogger("service.client")
_Result = TypeVar("_Result")


class StreamStep(enum.Enum):
    """What the transport does next: open a stream, give its next answer (None at its end), or close it."""

    OPEN = enum.auto()
    RECEIVE = enum.auto()
    CLOSE = enum.auto()


# As :data:`service.client.connection.Steps`, with steps of a stream among them.
StreamSteps: TypeAlias = Generator[Rpc[Message] | Wait | StreamStep, Message | None, _Result]


class BlockStream:
    """The blocks of one stream, numbered from 0. If the stream breaks, blocks without an answer are sent again.

    Three parties use it. The reader of blocks calls `block`, adds the result to `in_flight`, and calls `end` after the
    last. The writer of requests takes those of `in_flight` until `has_sent_all`. The reader of answers runs
    `next_prediction`. In several threads they need a lock: only `block` and the steps themselves run without it.

    Args:
        conversation: gives manifests.
        model: its name.
        version: a number; None is the latest that is ready, for each block anew.
        bulk: whether the server computes other rows first.
        deadline: for the whole stream.
        max_attempts: most times that a block is sent; 1 means no retries.
        address: the server, as messages name it.
        report_ground: whether the answers tell unknown cells.

    Attributes:
        deadline: for the whole stream.
        in_flight: the blocks without a settled answer.
        opened: how many streams were opened.
    """

    def __init__(
        self,
        conversation: Conversation,
        model: str,
        version: int | None,
        bulk: bool,
        deadline: Deadline,
        max_attempts: int,
        address: str,
        report_ground: bool = False,
    ) -> None:
        self.deadline: Final = deadline
        self.opened = 0
        self._conversation = conversation
        self._model = model
        self._version = version
        self._encoder = BlockEncoder(conversation, model, version, bulk, report_ground)
        self._max_attempts = max_attempts
        self._address = address
        self._manifest = manifest_pb2.ModelManifest()
        self.in_flight = BlocksInFlight(1)
        self._blocks = 0
        self._all_read = False
        self._read_error: BaseException | None = None
        self._is_open = False
        self._has_answers = False  # the open stream
        self._failures = 0  # streams in a row that broke without any answer

    def begin(self) -> Steps[None]:
        """Fetch the manifest, which says how rows are encoded. Must be called first.

        Raises:
            NotFound: when there is no such model or version.
        """
        self._manifest = yield from self._conversation.manifest(self._model, self._version)
        # The rows in flight are limited to one request's share, so that one stream does not fill the server's queue.
        self.in_flight = BlocksInFlight(self._conversation.limits.shared_rows(widest(self._manifest)))

    def block(self, rows: RowsLike) -> Block:
        """Encode the next block.

        Raises:
            InvalidInput: when the rows do not fit the model, or are more than one request may hold.
        """
        number, self._blocks = self._blocks, self._blocks + 1
        return self._encoder.encode(number, rows, self._manifest)

    def end(self, error: BaseException | None) -> None:
        """All blocks are read, or reading failed: `next_prediction` raises the error after the last answer."""
        self._all_read, self._read_error = True, error

    def has_sent_all(self, opened: int) -> bool:
        """Whether the stream of this number gets no more requests."""
        return opened != self.opened or (self._all_read and not self.in_flight.has_unsent())

    def next_prediction(self) -> StreamSteps[Prediction | None]:
        """The next prediction, in the order of the blocks; None after the last.

        Raises:
            ClientError: when a block failed, or the stream did.
            BaseException: when reading the blocks raised it.
        """
        while True:
            while (ready := self.in_flight.ready()) is not None:
                block, answer = ready
                prediction = yield from self._prediction(block, answer)
                if prediction is not None:
                    self.in_flight.settle(block)
                    return prediction
                self.in_flight.send_again(block.id)
            if (next_answer := (yield from self._next_answer())) is None:
                break
            self._answer_arrived(next_answer)
        if self._read_error is not None:
            raise self._read_error
        if self.in_flight:
            raise ClientError(f"the stream ended without answers to {len(self.in_flight)} blocks; is this a kan-serve?")
        return None

    def _next_answer(self) -> StreamSteps[prediction_pb2.PredictStreamResponse | None]:
        """The next answer; None after the last. If a stream breaks, another one is opened.

        An answer resets the count of failures: `max_attempts` limits consecutive attempts without any answer.
        """
        while True:
            if not self._is_open:
                self._is_open, self._has_answers = True, False
                self.opened += 1
                self.in_flight.send_all_again()
                yield StreamStep.OPEN
            try:
                answer = cast(prediction_pb2.PredictStreamResponse | None, (yield StreamStep.RECEIVE))
            except Overloaded as error:
                self._is_open, self._failures = False, 0
                yield self.in_flight.pace.count_refusal(error)
                continue
            except Unavailable:
                if self._failures + 1 >= self._max_attempts:
                    raise
            else:
                if answer is None:
                    self._is_open, self._failures = False, 0
                    # The requests may have ended before the last block was refused, or had to be sent again for another
                    # version. It is sent on another stream.
                    if self._has_answers and self.in_flight.has_unsent():
                        continue
                    return None
                # This answer says that the server is stopping. The stream is about to end.
                if answer.failure.code != _UNAVAILABLE or self._failures + 1 >= self._max_attempts:
                    self._has_answers, self._failures = True, 0
                    return answer
                yield StreamStep.CLOSE
            self._is_open = False
            self._failures += 1
            yield Wait(backoff_seconds(self._failures))

    def _answer_arrived(self, answer: prediction_pb2.PredictStreamResponse) -> None:
        """Keep an answer until its turn comes. If a full server refused the block, send it again after a pause.

        Raises:
            ClientError: when no block waits for this answer.
        """
        if not self.in_flight.is_awaited(answer.id):
            raise ClientError(f"an answer came to block {answer.id!r}, which was not sent; is this a kan-serve?")
        error = self._error(answer) if answer.WhichOneof("result") == "failure" else None
        if isinstance(error, Overloaded) and self._starts_pause(error):
            self.in_flight.send_again(answer.id)
        else:
            self.in_flight.keep(answer)

    def _starts_pause(self, error: Overloaded) -> bool:
        """Send nothing for a while, then the refused block again. False if that is useless."""
        if not self.in_flight.pause_seconds():  # a server that refuses several at once starts one pause
            try:
                pause = self.in_flight.pace.count_refusal(error)
                self.in_flight.pause(pause.within(self.deadline, self._max_attempts > 1))
            except Overloaded:
                return False
        return True

    def _prediction(self, block: Block, answer: prediction_pb2.PredictStreamResponse) -> Steps[Prediction | None]:
        """The prediction in an answer; None if the block must be sent again for another version.

        Raises:
            ClientError: when the answer reports a failure or does not fit the block; one of its subclasses if one fits.
        """
        if answer.WhichOneof("result") != "prediction":
            raise self._error(answer)
        version = answer.prediction.version
        may_begin_anew = not self._version and block.fresh_starts < MOST_FRESH_STARTS
        try:
            manifest = yield from self._conversation.manifest_of(self._model, version)
        except VersionGone as gone:
            if not may_begin_anew:
                raise
            _log.warning("%s; block %s is predicted again with the newest version", gone, block.id)
            block.fresh_starts += 1
            return None
        if inputs_of(manifest) != inputs_of(block.encoded_for):
            if not may_begin_anew or isinstance(block.caller_rows, np.ndarray):
                raise ClientError(
                    f"block {block.id} was answered by version {version}, which takes other columns than version "
                    f"{block.encoded_for.version}; send it and the rest on a new stream"
                )
            again = self._encoder.encode(int(block.id), block.caller_rows, manifest)
            block.request, block.encoded_for, block.other_cells = again.request, manifest, again.other_cells
            block.fresh_starts += 1
            self._manifest = manifest
            return None
        if not isinstance(block.caller_rows, np.ndarray):
            self._manifest = manifest
        return join_answers(manifest, [answer.prediction], block.rows, block.other_cells)

    def _error(self, answer: prediction_pb2.PredictStreamResponse) -> ClientError:
        """The error for an answer that reports a failure."""
        code = _FAILURES.get(answer.failure.code, grpc.StatusCode.UNKNOWN)
        details = f"block {answer.id}: {answer.failure.message}"
        after = answer.failure.retry_after_seconds
        return from_status(code, details, self._address, self.deadline.seconds, after if after > 0 else None)
