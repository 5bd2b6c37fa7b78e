"""KServe's v1 form of explaining, as a translation into Explain of PredictionService and back.

    POST /v1/models/NAME:explain                 {"instances": [[7.0, 3.2], [null, 4.0]]}
    POST /v1/models/NAME/versions/N:explain      {"instances": [[7.0, 3.2]], "reference": [6.2, 11.4]}

    {"model_name": "houses", "model_version": "3", "predictions": [[4.1], [3.9]], "explains_scores": false,
     "explanations": [{"value": {"explained": 4.1, "baseline": 2.9, "contributions": {"rooms": 0.8, "lstat": 0.4}}}],
     "ground": {"is_known": true, "unknown_rows": "0", "unknown_cells": "0", "cells": []}}

Of a classification, predictions are the probabilities, and explained are the scores before the softmax. Numbers are in
the order of the model's features; null is a missing value. `reference`, which KServe does not have, is as in
ExplainRequest: one row for all, or one for each row. `ground` is protobuf's JSON, whose 64-bit numbers are strings.

Source: KServe's data plane, V1 protocol; the paths with a version are those of TensorFlow Serving's REST API.
"""

import asyncio
import json
import math
import re
from functools import partial
from typing import Any, Final

import numpy as np
from google.protobuf import json_format
from numpy.typing import NDArray

from kan_api.v1 import prediction_pb2 as pb
from service.errors import AnswerTooLarge, InvalidRequest
from service.protocols.rows import FLOAT32
from service.rpc.calls import RequestContext, Unary

PROTOCOL: Final = "kserve"
_PATH = re.compile(r"/v1/models/(?P<model>[^/:]{1,4096})(/versions/(?P<version>[^/:]{1,4096}))?:explain")
_ROWS: Final = ("instances", "inputs")
_REFERENCE: Final = "reference"
_VERSION = re.compile("[0-9]{1,18}")
# Longer bodies are parsed in a thread: 16 KiB take 2 ms, 2 MiB up to 0.6 s.
_INLINE_BYTES: Final = 2**14
# Numbers of an answer take a microsecond each to write, in a thread that holds the interpreter lock by turns.
_MOST_ANSWER_BYTES: Final = 2**20


def method_at(path: str, explain: Unary, max_request_rows: int) -> Unary | None:
    """The method of a path, which takes and gives JSON; None if the path is not one of these.

    Args:
        path: Of the request, decoded.
        explain: Explain of PredictionService, which computes the answer.
        max_request_rows: Most rows that one request may bring.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    answer = partial(_explain, explain, max_request_rows, found["model"], found["version"] or "0")
    return Unary(f"/v1/models/{found['model']}:explain", PROTOCOL, answer)


async def _explain(
    explain: Unary, max_request_rows: int, model: str, version: str, call: RequestContext, body: bytes
) -> bytes:
    if _VERSION.fullmatch(version) is None:
        raise InvalidRequest(f"model version is {version[:80]!r}; wanted a number such as '3'")
    if len(body) <= _INLINE_BYTES:
        request = _to_request(model, int(version), body, max_request_rows)
    else:
        request = await asyncio.to_thread(_to_request, model, int(version), body, max_request_rows)
    response = await explain.answer(call, request)
    if len(response) > _MOST_ANSWER_BYTES:
        raise AnswerTooLarge(
            f"the answer has {len(response)} bytes before it is JSON, more than {_MOST_ANSWER_BYTES}; send fewer rows "
            "at a time, or call Explain of kan_api.v1.PredictionService by gRPC"
        )
    return await asyncio.to_thread(_to_json, response)


def _to_request(model: str, version: int, body: bytes, max_request_rows: int) -> bytes:
    """The ExplainRequest for a body.

    Raises:
        InvalidRequest: The body does not fit; the message names the field.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the body is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidRequest('the body is no JSON object; wanted {"instances": [[…], …]}')
    given = [name for name in _ROWS if name in document]
    if len(given) != 1:
        raise InvalidRequest(f"the body has {' and '.join(given) or 'no instances'}; wanted one of {list(_ROWS)}")
    if unknown := set(document) - {given[0], _REFERENCE}:
        raise InvalidRequest(f"the body has {min(unknown)[:80]!r}; wanted {[given[0], _REFERENCE]} alone")
    features = _matrix(given[0], document[given[0]], max_request_rows)
    request = pb.ExplainRequest(model=model, version=version, features=features)
    if _REFERENCE in document:
        reference = document[_REFERENCE]
        is_row = isinstance(reference, list) and not any(isinstance(each, list) for each in reference)
        request.reference.CopyFrom(_matrix(_REFERENCE, [reference] if is_row else reference, max_request_rows))
    return request.SerializeToString()


def _matrix(where: str, rows: Any, max_request_rows: int) -> pb.Matrix:
    """Lists of numbers as a matrix; null is NaN."""
    # Before the rows are looked at one by one.
    if isinstance(rows, list) and len(rows) > max_request_rows and isinstance(rows[0], list):
        raise InvalidRequest(f"{where} has {len(rows)} rows; wanted 1 to {max_request_rows}")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        raise InvalidRequest(
            f"{where} is no list of rows; wanted [[…], …], numbers in the order of the model's features"
        )
    width = len(rows[0])
    for place, row in enumerate(rows):
        if len(row) != width:
            raise InvalidRequest(
                f"{where}: row {place} has {len(row)} numbers, row 0 has {width}; wanted as many in each"
            )
        for column, cell in enumerate(row):
            if cell is not None and type(cell) not in (int, float):
                raise InvalidRequest(
                    f"{where}: row {place}, column {column} is {json.dumps(cell)[:60]}; wanted a number, or null for a "
                    "missing value"
                )
    numbers = [math.nan if cell is None else cell for row in rows for cell in row]
    try:
        with np.errstate(over="ignore"):
            values = np.array(numbers, np.float64).astype(FLOAT32)
    except OverflowError:
        raise InvalidRequest(f"{where} has a whole number that is too large; wanted finite float32") from None
    return pb.Matrix(rows=len(rows), columns=width, raw=values.tobytes())


def _to_json(answer: bytes) -> bytes:
    """The body for an ExplainResponse."""
    response = pb.ExplainResponse.FromString(answer)
    explained, baseline = _values(response.explained), _values(response.baseline)
    by_output = [(each.output, _numbers(_values(each.values))) for each in response.contributions]
    shown, shown_baseline = _numbers(explained), _numbers(np.broadcast_to(baseline, explained.shape))
    explanations = [
        {
            output: {
                "explained": shown[row][place],
                "baseline": shown_baseline[row][place],
                "contributions": dict(zip(response.columns, numbers[row], strict=True)),
            }
            for place, (output, numbers) in enumerate(by_output)
        }
        for row in range(len(explained))
    ]
    document = {
        "model_name": response.model,
        "model_version": str(response.version),
        "predictions": _numbers(_softmax(explained)) if response.explains_scores else shown,
        "explains_scores": response.explains_scores,
        "explanations": explanations,
        "ground": json_format.MessageToDict(
            response.ground, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        ),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _values(matrix: pb.Matrix) -> NDArray[np.float32]:
    return np.frombuffer(matrix.raw, FLOAT32).reshape(matrix.rows, matrix.columns)


def _numbers(values: NDArray[np.float32]) -> list[list[float | None]]:
    """Numbers for JSON, which has no NaN and no infinity: the shortest text that parses to the same float32."""
    return [[float(str(number)) if math.isfinite(number) else None for number in row] for row in values]


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(invalid="ignore"):
        powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
