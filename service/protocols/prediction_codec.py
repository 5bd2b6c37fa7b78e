"""A kan_api.v1.Matrix to float32 rows, and a model's outputs to matrices.

Nothing is guessed: what does not fit is refused, field by field.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.prediction_pb2 import Matrix
from service.errors import InvalidRequest
from service.protocols.rows import FLOAT32, Rows, check_shape, from_raw, to_finite_rows, to_raw
from service.registry.model.live_model import LiveModel


def decode_matrix(matrix: Matrix, model: LiveModel, max_request_rows: int, where: str = "features") -> Rows:
    """The rows of a request.

    Args:
        matrix: As it came.
        model: Is to answer; gives the features and which of them may be NaN.
        max_request_rows: Most rows that one request may bring.
        where: The field of the request, for messages.

    Returns:
        float32 [rows, features], finite except NaN where the model imputes; may be a read-only view of the message.

    Raises:
        InvalidRequest: The matrix does not fit the model; the message names the field.
    """
    rows, columns, raw, values = matrix.rows, matrix.columns, matrix.raw, matrix.values
    check_shape(where, rows, columns, model, max_request_rows)
    if not values:
        return to_finite_rows(where, from_raw(f"{where}.raw", raw, FLOAT32, rows, columns), model)
    if raw:
        raise InvalidRequest(f"{where} has both raw and values; wanted one of them")
    count = rows * columns
    if len(values) != count:
        raise InvalidRequest(f"{where}.values holds {len(values)} numbers; wanted {count} ({rows} rows of {columns})")
    return to_finite_rows(where, np.array(values, np.float32).reshape(rows, columns), model)


def encode_matrix(matrix: Matrix, values: NDArray[Any], *, raw: bool) -> None:
    """Put a model's output into a message, a field at a time: that costs half of making it of keywords.

    Args:
        matrix: Gets the numbers; empty.
        values: float32 [rows, columns].
        raw: As bytes (the fast way) or as a list of numbers (the readable way).
    """
    matrix.rows, matrix.columns = values.shape
    if raw:
        matrix.raw = to_raw(values)
    else:
        matrix.values.extend(values.ravel().tolist())
