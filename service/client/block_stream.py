"""Blocks of rows on a stream of requests, without a transport: what is under way, and answers in their order."""

import random
from collections import deque
from collections.abc import Mapping
from typing import Final

import grpc

from kan_api.v1 import manifest_pb2, prediction_pb2
from service.client.answers import Prediction, joined
from service.client.connection import Steps
from service.client.conversation import (
    MAX_REQUEST_ROWS,
    Conversation,
    Rows,
    encoded,
    given,
    inputs_of,
    predict_request,
    request_rows,
)
from service.client.errors import ClientError, InvalidInput, from_status

PATH: Final = "/kan_api.v1.PredictionService/PredictStream"

# Blocks under way: a server answers so many of one stream at once.
MOST_BLOCKS: Final = 64
# Rows under way, of several blocks: as many as one request may bring, so that a stream fills no server's queue.
MOST_ROWS: Final = MAX_REQUEST_ROWS

_FAILURES: Final[Mapping[int, grpc.StatusCode]] = {
    code.value[0]: code for code in grpc.StatusCode if code is not grpc.StatusCode.OK
}


class BlockStream:
    """The blocks of one stream, numbered from 0; where the stream breaks off, those without an answer are sent again.

    Whoever reads blocks calls `request`, `has_room` and `add`; who writes, `next_to_send`; who reads answers, the rest.
    Between threads a lock is theirs.

    Args:
        conversation: gives manifests.
        model: who is to answer.
        version: which one; None is for each block the latest when it comes.
        bulk: whether others go first.
    """

    def __init__(self, conversation: Conversation, model: str, version: int | None, bulk: bool) -> None:
        self._conversation = conversation
        self._model = model
        self._version = version
        self._bulk = bulk
        self._manifest = manifest_pb2.ModelManifest()
        self._blocks = 0
        self._under_way: dict[str, prediction_pb2.PredictRequest] = {}  # by block, oldest first
        self._to_send: deque[prediction_pb2.PredictRequest] = deque()
        self._rows = 0
        self._answers: dict[str, prediction_pb2.PredictStreamResponse] = {}

    def begin(self) -> Steps[None]:
        """Learn how rows are encoded; comes first.

        Raises:
            NotFound: when there is no such model or version.
        """
        self._manifest = yield from self._conversation.manifest(self._model, self._version)

    def request(self, block: Rows) -> prediction_pb2.PredictRequest:
        """The request for the next block.

        Raises:
            InvalidInput: when the block does not fit the model, or is larger than a request.
        """
        number, self._blocks = self._blocks, self._blocks + 1
        try:
            matrix = encoded(self._manifest, given(block))
        except InvalidInput as error:
            raise InvalidInput(f"block {number}: {error}") from error
        most = request_rows(matrix.shape[1])
        if len(matrix) > most:
            raise InvalidInput(f"block {number} has {len(matrix)} rows, wanted at most {most} of {matrix.shape[1]}")
        request = predict_request(self._model, matrix, self._version or 0, self._bulk)
        request.id = str(number)
        return request

    def has_room(self, request: prediction_pb2.PredictRequest) -> bool:
        """Whether one more block may be under way; one always may."""
        rows = self._rows + request.features.rows
        return not self._under_way or (len(self._under_way) < MOST_BLOCKS and rows <= MOST_ROWS)

    def add(self, request: prediction_pb2.PredictRequest) -> None:
        """The block is under way, until its answer is taken."""
        self._under_way[request.id] = request
        self._to_send.append(request)
        self._rows += request.features.rows

    def restart(self) -> None:
        """Send what has no answer, from the oldest block on: a new stream is open."""
        self._to_send = deque(request for block, request in self._under_way.items() if block not in self._answers)

    def next_to_send(self) -> prediction_pb2.PredictRequest | None:
        """The request to send next; None where there is none now."""
        return self._to_send.popleft() if self._to_send else None

    def came(self, answer: prediction_pb2.PredictStreamResponse) -> None:
        """Keep an answer until its turn comes.

        Raises:
            ClientError: when nobody asked for it.
        """
        if answer.id not in self._under_way or answer.id in self._answers:
            raise ClientError(f"an answer came to block {answer.id!r}, which was not asked; is this a kan-serve?")
        self._answers[answer.id] = answer

    def take(self) -> tuple[prediction_pb2.PredictStreamResponse, int] | None:
        """The answer to the oldest block under way, and that block's rows; None where it has not come."""
        oldest = next(iter(self._under_way), None)
        if oldest is None or oldest not in self._answers:
            return None
        rows = self._under_way.pop(oldest).features.rows
        self._rows -= rows
        return self._answers.pop(oldest), rows

    def prediction(
        self, answer: prediction_pb2.PredictStreamResponse, rows: int, address: str, timeout_seconds: float
    ) -> Steps[Prediction]:
        """What an answer says.

        Args:
            answer: of `take`.
            rows: of its block.
            address: who answered.
            timeout_seconds: the time that the stream has.

        Raises:
            ClientError: of the kind that fits, when it tells of a failure or does not fit the block.
        """
        if answer.WhichOneof("result") != "prediction":
            code = _FAILURES.get(answer.failure.code, grpc.StatusCode.UNKNOWN)
            raise from_status(code, f"block {answer.id}: {answer.failure.message}", address, timeout_seconds)
        manifest = yield from self._conversation.manifest(self._model, answer.prediction.version)
        if manifest.version != self._manifest.version:
            if inputs_of(manifest) != inputs_of(self._manifest):
                raise ClientError(
                    f"block {answer.id} was answered by version {manifest.version}, which takes other columns than "
                    f"version {self._manifest.version}; send it and the rest on a new stream"
                )
            self._manifest = manifest
        return joined(manifest, [answer.prediction], rows)

    def check_whole(self) -> None:
        """Refuse the end of a stream that left blocks unanswered.

        Raises:
            ClientError: when there are any.
        """
        if self._under_way:
            raise ClientError(
                f"the stream ended without answers to {len(self._under_way)} blocks; is this a kan-serve?"
            )


def broke_off(answer: prediction_pb2.PredictStreamResponse) -> bool:
    """Whether an answer says that its server takes no more, for it stops: the stream is about to end."""
    unavailable: int = grpc.StatusCode.UNAVAILABLE.value[0]
    return answer.failure.code == unavailable


def backoff_seconds(attempts: int) -> float:
    """How long to wait after so many attempts since the last answer, as gRPC waits in other calls."""
    return min(1.0, 0.1 * 2.0 ** (attempts - 1)) * random.uniform(0.8, 1.2)
