"""The rows of one call in several requests, one at a time, all answered by one version."""

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from kan_api.v1 import prediction_pb2
from service.client.connection import Rpc, Steps
from service.client.encoding.rows import Matrix
from service.client.errors import NotFound, Overloaded
from service.client.streaming.pace import Pace

_SERVERS_ASKED = 3

_Response = TypeVar("_Response", bound=Message, covariant=True)


class VersionGone(NotFound):
    """The version that answered the first requests has been removed."""


def answer_to(rpc: Rpc[_Response]) -> Steps[_Response]:
    """The answer to a call. The call is sent again while a full server refuses it.

    Raises:
        ClientError: when the call fails.
    """
    pace = Pace(1)
    while True:
        try:
            return (yield from rpc.answer())
        except Overloaded as error:
            yield pace.count_refusal(error)


def of_version(ask: Callable[[], Steps[_Response]]) -> Steps[_Response]:
    """The answer to a call that names a version which has answered before.

    With several servers, one server may have removed the version already, or not loaded it yet. So the call is tried
    three times: each time it goes to the next server.

    Args:
        ask: makes the call.

    Raises:
        VersionGone: when no server that was asked has the version.
        ClientError: when the call fails for another reason.
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
    model: str, matrix: Matrix, version: int | None, bulk: bool, chunk_rows: int, report_ground: bool = False
) -> Steps[list[prediction_pb2.PredictResponse]]:
    """The answers to all rows in order, all from the version that answered first.

    One request is in flight at a time, so that one caller takes only the space of one request in the server's queue.

    Args:
        model: its name.
        matrix: the rows.
        version: a number; None is the latest that is ready when the first request arrives.
        bulk: whether the server computes other rows first.
        chunk_rows: most rows of a request.
        report_ground: whether the answers tell unknown cells.

    Raises:
        VersionGone: when the version is absent or has been removed.
        ClientError: when a request fails.
    """
    answers: list[prediction_pb2.PredictResponse] = []
    pace, start = Pace(chunk_rows), 0
    while start < len(matrix):
        chunk = matrix[start : start + pace.rows]
        request = predict_request(model, chunk, answers[0].version if answers else version or 0, bulk, report_ground)
        rpc = Rpc("/kan_api.v1.PredictionService/Predict", request, prediction_pb2.PredictResponse)
        try:
            answers.append((yield from (of_version(rpc.answer) if request.version else rpc.answer())))
        except Overloaded as error:
            yield pace.count_refusal(error)
        else:
            pace.count_answer()
            start += len(chunk)
    return answers


def predict_request(
    model: str, matrix: Matrix, version: int, bulk: bool, report_ground: bool = False
) -> prediction_pb2.PredictRequest:
    """The request that predicts the rows of a matrix."""
    return prediction_pb2.PredictRequest(
        model=model,
        version=version,
        features=to_message(matrix),
        priority=prediction_pb2.PRIORITY_BULK if bulk else prediction_pb2.PRIORITY_UNSPECIFIED,
        report_ground=report_ground,
    )


def to_message(matrix: Matrix) -> prediction_pb2.Matrix:
    """The numbers of a matrix in a message."""
    raw = matrix.astype("<f4", copy=False).tobytes()
    return prediction_pb2.Matrix(rows=len(matrix), columns=matrix.shape[1], raw=raw)
