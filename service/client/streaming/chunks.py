"""The rows of one call, in requests that leave room for others, all answered by one version."""

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from kan_api.v1 import prediction_pb2
from service.client.connection import Rpc, Steps
from service.client.errors import NotFound, Overloaded
from service.client.rows import Matrix
from service.client.streaming.pace import Pace

_SERVERS_ASKED = 3

_Response = TypeVar("_Response", bound=Message, covariant=True)


class VersionGone(NotFound):
    """The version that had begun to answer is not there any more."""


def answer_to(rpc: Rpc[_Response]) -> Steps[_Response]:
    """The answer to a call, which is sent again while the server has no room for it.

    Raises:
        ClientError: when there is none.
    """
    pace = Pace(1)
    while True:
        try:
            return (yield from rpc.answer())
        except Overloaded as error:
            yield from pace.refused(error).over()


def of_version(ask: Callable[[], Steps[_Response]]) -> Steps[_Response]:
    """The answer to a call that names a version which has answered already.

    Of several servers one may have it no more, or not yet; the next call goes to another.

    Args:
        ask: makes the call.

    Raises:
        VersionGone: when no server has it.
        ClientError: when there is no answer for another reason.
    """
    for _ in range(_SERVERS_ASKED - 1):
        try:
            return (yield from ask())
        except NotFound:
            continue
    try:
        return (yield from ask())
    except NotFound as error:
        raise VersionGone(str(error)) from error


def chunk_answers(
    model: str, matrix: Matrix, version: int | None, bulk: bool, chunk_rows: int
) -> Steps[list[prediction_pb2.PredictResponse]]:
    """The answers to all rows in order, all by the version that answered first.

    One request is under way at a time, so that a caller holds no more of the server's queue than one request.

    Args:
        model: who is to answer.
        matrix: the rows.
        version: which one; None is the latest when the first request comes.
        bulk: whether others go first.
        chunk_rows: most rows of a request.

    Raises:
        VersionGone: when the version is not there, or not any more.
        ClientError: when a request fails.
    """
    answers: list[prediction_pb2.PredictResponse] = []
    pace, start = Pace(chunk_rows), 0
    while start < len(matrix):
        chunk = matrix[start : start + pace.rows]
        request = predict_request(model, chunk, answers[0].version if answers else version or 0, bulk)
        rpc = Rpc("/kan_api.v1.PredictionService/Predict", request, prediction_pb2.PredictResponse)
        try:
            answers.append((yield from (of_version(rpc.answer) if request.version else rpc.answer())))
        except Overloaded as error:
            yield from pace.refused(error).over()
        else:
            pace.answered()
            start += len(chunk)
    return answers


def predict_request(model: str, matrix: Matrix, version: int, bulk: bool) -> prediction_pb2.PredictRequest:
    """The request for some rows."""
    return prediction_pb2.PredictRequest(
        model=model,
        version=version,
        features=prediction_pb2.Matrix(
            rows=len(matrix), columns=matrix.shape[1], raw=matrix.astype("<f4", copy=False).tobytes()
        ),
        priority=prediction_pb2.PRIORITY_BULK if bulk else prediction_pb2.PRIORITY_UNSPECIFIED,
    )
