"""Explanations of answers as plain Python values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kan_api.v1 import prediction_pb2
from service.client.answers import Ground, decode_matrix, join_ground
from service.client.encoding.rows import Matrix
from service.client.errors import ClientError


@dataclass(frozen=True, eq=False)
class Explanation:
    """How much each column contributes to each answer of one model version.

    For each row and output: ``contributions.sum(axis=2) == explained - baseline``, but for rounding.

    columns          names of the columns of the table, in the order of the contributions
    outputs          names of the targets or classes, in the model's order
    contributions    float32 [rows, outputs, columns]
    explained        float32 [rows, outputs]: the answers; of classes the scores before the softmax
    baseline         float32 [1 or rows, outputs]: the same of the reference row, or of each row's own
    explains_scores  whether `explained` are scores of classes
    ground           which cells no training row resembles
    queue_seconds    time that the rows waited in the queue, summed over their requests
    compute_seconds  duration of the runs that computed the rows, summed over their requests
    other_cells      cells that hold none of their column's words and were taken as "other"
    """

    model: str
    version: int
    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    contributions: NDArray[np.float32]
    explained: Matrix
    baseline: Matrix
    explains_scores: bool
    ground: Ground
    queue_seconds: float
    compute_seconds: float
    other_cells: int = 0


def join_explanations(
    answers: Sequence[prediction_pb2.ExplainResponse], rows: int, shares_reference: bool, other_cells: int
) -> Explanation:
    """One explanation from the answers to consecutive requests.

    Args:
        answers: at least one, all of one version.
        rows: the number of rows that were sent.
        shares_reference: whether all rows have the same reference row.
        other_cells: see :class:`Explanation`.

    Raises:
        ClientError: when the answers do not fit the rows.
    """
    first = answers[0]
    explained = np.concatenate([decode_matrix(answer.explained) for answer in answers])
    baselines = [decode_matrix(answer.baseline) for answer in answers]
    contributions = np.concatenate(
        [np.stack([decode_matrix(each.values) for each in answer.contributions], axis=1) for answer in answers]
    )
    shape = (rows, explained.shape[1], len(first.columns))
    if len(explained) != rows or contributions.shape != shape:
        raise ClientError(
            f"{first.model} was sent {rows} rows and explained another number of rows or columns; is this a kan-serve?"
        )
    return Explanation(
        model=first.model,
        version=first.version,
        columns=tuple(first.columns),
        outputs=tuple(each.output for each in first.contributions),
        contributions=contributions,
        explained=explained,
        baseline=baselines[0] if shares_reference else np.concatenate(baselines),
        explains_scores=first.explains_scores,
        ground=join_ground([answer.ground for answer in answers], [answer.explained.rows for answer in answers]),
        queue_seconds=sum(answer.queue_seconds for answer in answers),
        compute_seconds=sum(answer.compute_seconds for answer in answers),
        other_cells=other_cells,
    )
