"""The state of a stream of blocks, without a transport: the blocks in flight, and their answers in order."""

import logging
import random
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import grpc
import numpy as np

from kan_api.v1 import manifest_pb2, prediction_pb2
from service.client.answers import Prediction, joined
from service.client.connection import Deadline, Steps
from service.client.errors import ClientError, InvalidInput, Overloaded, from_status
from service.client.limits import widest
from service.client.rows import Matrix
from service.client.streaming.chunks import VersionGone, predict_request
from service.client.streaming.conversation import (
    MOST_FRESH_STARTS,
    Conversation,
    Records,
    RowsLike,
    encoded,
    given,
    inputs_of,
)
from service.client.streaming.pace import Pace

PATH: Final = "/kan_api.v1.PredictionService/PredictStream"

# Most blocks in flight: a server computes at most this many of one stream at once.
MOST_BLOCKS: Final = 64

_FAILURES: Final[Mapping[int, grpc.StatusCode]] = {
    code.value[0]: code for code in grpc.StatusCode if code is not grpc.StatusCode.OK
}
_log = logging.getLogger("service.client")


@dataclass(eq=False)
class Block:
    """One block of rows in flight.

    given         the rows as the caller gave them
    request       the rows as they are sent
    encoded_for   the manifest of the version that they are encoded for
    fresh_starts  how often the block was predicted again because of another version
    """

    given: Matrix | Records
    request: prediction_pb2.PredictRequest
    encoded_for: manifest_pb2.ModelManifest
    fresh_starts: int = 0

    @property
    def id(self) -> str:
        """The number of the block as text, counted from 0."""
        return self.request.id

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.request.features.rows


class BlockStream:
    """The blocks of one stream, numbered from 0. If the stream breaks, blocks without an answer are sent again.

    Three parties use it. The reader of blocks calls `block`, `has_room` and `add`. The writer of requests calls
    `next_to_send`. The reader of answers calls the rest. Parties in several threads must lock each call.

    Args:
        conversation: gives manifests.
        model: its name.
        version: a number; None is the latest that is ready, for each block anew.
        bulk: whether the server computes other rows first.
        deadline: for the whole stream.
        max_attempts: most times that a block is sent; 1 means no retries.
        address: the server, as messages name it.
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
    ) -> None:
        self.deadline: Final = deadline
        self.max_attempts: Final = max_attempts
        self._conversation = conversation
        self._model = model
        self._version = version
        self._bulk = bulk
        self._address = address
        self._manifest = manifest_pb2.ModelManifest()
        self._pace = Pace(1)
        self._most_rows = 1
        self._blocks = 0
        self._open_blocks: dict[str, Block] = {}  # oldest first
        self._rows = 0
        self._to_send: deque[Block] = deque()
        self._sent: dict[str, int] = {}  # rows of blocks that were sent and have no answer
        self._answers: dict[str, prediction_pb2.PredictStreamResponse] = {}
        self._paused_until = 0.0

    def begin(self) -> Steps[None]:
        """Fetch the manifest, which says how rows are encoded. Must be called first.

        Raises:
            NotFound: when there is no such model or version.
        """
        self._manifest = yield from self._conversation.manifest(self._model, self._version)
        # The rows in flight are limited to one request's share, so that one stream does not fill the server's queue.
        self._most_rows = self._conversation.limits.shared_rows(widest(self._manifest))
        self._pace = Pace(self._most_rows)

    def block(self, rows: RowsLike) -> Block:
        """Encode the next block.

        Raises:
            InvalidInput: when the rows do not fit the model, or are more than one request may hold.
        """
        number, self._blocks = self._blocks, self._blocks + 1
        try:
            taken = given(rows)
        except InvalidInput as error:
            raise InvalidInput(f"block {number}: {error}") from error
        return self._encoded(number, taken, self._manifest)

    def has_room(self, block: Block) -> bool:
        """Whether this block may be added to those in flight. One block alone always may."""
        rows = self._rows + block.rows
        return not self._open_blocks or (len(self._open_blocks) < MOST_BLOCKS and rows <= self._most_rows)

    def add(self, block: Block) -> None:
        """Put a block in flight, until its answer is settled."""
        self._open_blocks[block.id] = block
        self._to_send.append(block)
        self._rows += block.rows

    def restart(self) -> None:
        """Send all blocks without an answer again, the oldest first, because a new stream is open."""
        self._to_send = deque(block for block in self._open_blocks.values() if block.id not in self._answers)
        self._sent.clear()

    def next_to_send(self) -> prediction_pb2.PredictRequest | None:
        """The request to send next; None if none may be sent now."""
        if not self._to_send or self.pause_seconds():
            return None
        rows = self._to_send[0].rows
        if self._sent and sum(self._sent.values()) + rows > self._pace.rows:
            return None
        block = self._to_send.popleft()
        self._sent[block.id] = rows
        return block.request

    def has_unsent(self) -> bool:
        """Whether blocks wait to be sent, or to be sent again."""
        return bool(self._to_send)

    def pause_seconds(self) -> float:
        """The rest of the pause after a full server refused a block; 0 if requests may be sent."""
        return max(0.0, self._paused_until - time.monotonic())

    def answer_arrived(self, answer: prediction_pb2.PredictStreamResponse) -> None:
        """Keep an answer until its turn comes. If a full server refused the block, send it again after a pause.

        Raises:
            ClientError: when no block waits for this answer.
        """
        block = self._open_blocks.get(answer.id)
        if block is None or answer.id in self._answers:
            raise ClientError(f"an answer came to block {answer.id!r}, which was not sent; is this a kan-serve?")
        self._sent.pop(answer.id, None)
        if self._may_come_again(answer):
            self._to_send.appendleft(block)
            return
        self._pace.answered()
        self._answers[answer.id] = answer

    def refused(self, error: Overloaded) -> float:
        """Seconds to wait after a full server refused the stream or a block.

        Raises:
            Overloaded: the error itself, when a wait is useless.
        """
        return self._pace.refused(error).within(self.deadline, self.max_attempts > 1)

    def ready(self) -> Block | None:
        """The oldest block in flight if its answer has arrived; otherwise None."""
        oldest = next(iter(self._open_blocks.values()), None)
        return oldest if oldest is not None and oldest.id in self._answers else None

    def settle(self, block: Block, answered: bool) -> None:
        """Remove the block of `ready` if it is answered; otherwise send it again."""
        del self._answers[block.id]
        if answered:
            self._rows -= self._open_blocks.pop(block.id).rows
        else:
            self._to_send.appendleft(block)

    def prediction(self, block: Block) -> Steps[Prediction | None]:
        """The prediction for a block; None if the block must be sent again for another version.

        Args:
            block: the result of `ready`.

        Raises:
            ClientError: when the answer reports a failure or does not fit the block; one of its subclasses if one fits.
        """
        answer = self._answers[block.id]
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
            if not may_begin_anew or isinstance(block.given, np.ndarray):
                raise ClientError(
                    f"block {block.id} was answered by version {version}, which takes other columns than version "
                    f"{block.encoded_for.version}; send it and the rest on a new stream"
                )
            anew = self._encoded(int(block.id), block.given, manifest)
            block.request, block.encoded_for = anew.request, manifest
            block.fresh_starts += 1
            self._manifest = manifest
            return None
        if not isinstance(block.given, np.ndarray):
            self._manifest = manifest
        return joined(manifest, [answer.prediction], block.rows)

    def check_all_answered(self) -> None:
        """Check, at the end of the stream, that every block has its answer.

        Raises:
            ClientError: when a block has none.
        """
        if self._open_blocks:
            raise ClientError(
                f"the stream ended without answers to {len(self._open_blocks)} blocks; is this a kan-serve?"
            )

    def _encoded(self, number: int, rows: Matrix | Records, manifest: manifest_pb2.ModelManifest) -> Block:
        try:
            matrix = encoded(manifest, rows)
        except InvalidInput as error:
            raise InvalidInput(f"block {number}: {error}") from error
        most = self._conversation.limits.most_rows(max(matrix.shape[1], widest(manifest)))
        if len(matrix) > most:
            raise InvalidInput(f"block {number} has {len(matrix)} rows, wanted at most {most} of {matrix.shape[1]}")
        request = predict_request(self._model, matrix, self._version or 0, self._bulk)
        request.id = str(number)
        return Block(rows, request, manifest)

    def _may_come_again(self, answer: prediction_pb2.PredictStreamResponse) -> bool:
        """Whether a full server refused a block that may be sent again. If so, start the pause."""
        if answer.WhichOneof("result") != "failure":
            return False
        error = self._error(answer)
        if not isinstance(error, Overloaded):
            return False
        if self.pause_seconds():
            return True  # the server refused several at once; the pause has begun already
        try:
            self._paused_until = time.monotonic() + self.refused(error)
        except Overloaded:
            return False
        return True

    def _error(self, answer: prediction_pb2.PredictStreamResponse) -> ClientError:
        """The error for an answer that reports a failure."""
        code = _FAILURES.get(answer.failure.code, grpc.StatusCode.UNKNOWN)
        details = f"block {answer.id}: {answer.failure.message}"
        after = answer.failure.retry_after_seconds
        return from_status(code, details, self._address, self.deadline.seconds, after if after > 0 else None)


def broke_off(answer: prediction_pb2.PredictStreamResponse) -> bool:
    """Whether an answer says that the server is stopping. The stream is about to end then."""
    unavailable: int = grpc.StatusCode.UNAVAILABLE.value[0]
    return answer.failure.code == unavailable


def backoff_seconds(attempts: int) -> float:
    """How long to wait after that many attempts without an answer; the same times as in gRPC's own retries."""
    return min(1.0, 0.1 * 2.0 ** (attempts - 1)) * random.uniform(0.8, 1.2)
