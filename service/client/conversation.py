"""What a client says to a server, without a transport: each method gives the calls to make, one after the other."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from google.protobuf import wrappers_pb2
from numpy.typing import ArrayLike

from kan_api.v1 import manifest_pb2, prediction_pb2
from service.client.answers import Health, ModelInfo, Prediction, joined, model_info
from service.client.channel import MAX_MESSAGE_BYTES
from service.client.connection import Rpc, Steps
from service.client.errors import NotFound
from service.client.rows import Matrix, features, matrix_of, rows_of

MAX_REQUEST_ROWS = 4096

# Names, lengths and tags around the numbers of a request.
_ENVELOPE_BYTES = 2**14

Records: TypeAlias = Sequence[Mapping[str, object]]
Rows: TypeAlias = ArrayLike | Mapping[str, object] | Records


class Conversation:
    """What is asked, and what has been learned on the way; for any number of threads or tasks.

    The methods are those of :class:`service.client.client.Client`.
    """

    def __init__(self) -> None:
        self._manifests: dict[tuple[str, int], manifest_pb2.ModelManifest] = {}
        self._last_versions: dict[str, int] = {}

    def predict(self, model: str, rows: Rows, version: int | None, bulk: bool) -> Steps[Prediction]:
        """Answers for the rows, all from one version of the model."""
        return self._predict(model, given(rows), version, bulk)

    def models(self) -> Steps[list[ModelInfo]]:
        """Every model version that the server knows."""
        request = prediction_pb2.ListModelsRequest()
        response = yield from Rpc(
            "/kan_api.v1.PredictionService/ListModels", request, prediction_pb2.ListModelsResponse
        ).answer()
        return [model_info(status) for status in response.models]

    def manifest(self, model: str, version: int | None) -> Steps[manifest_pb2.ModelManifest]:
        """A version's manifest, fetched once since versions never change; which one is the latest is always asked."""
        known = self._manifests.get((model, version)) if version else None
        if known is not None:
            return known
        request = prediction_pb2.GetModelRequest(model=model, version=version or 0)
        response = yield from Rpc(
            "/kan_api.v1.PredictionService/GetModel", request, prediction_pb2.GetModelResponse
        ).answer()
        self._manifests[model, response.manifest.version] = response.manifest
        return response.manifest

    def health(self, service: str) -> Steps[Health]:
        """Whether the server or one of its models answers."""
        # On the wire HealthCheckRequest is a StringValue and HealthCheckResponse an Int32Value; the package that holds
        # them would be one more thing to install.
        request = wrappers_pb2.StringValue(value=service)
        response = yield from Rpc("/grpc.health.v1.Health/Check", request, wrappers_pb2.Int32Value).answer()
        return Health(response.value)

    def _predict(self, model: str, rows: Matrix | Records, version: int | None, bulk: bool) -> Steps[Prediction]:
        if isinstance(rows, np.ndarray):
            encoded_for, matrix = None, rows
        else:
            # All versions of a model take the same inputs, so the one that answered last is as good as the latest.
            encoded_for = yield from self.manifest(model, version or self._last_versions.get(model))
            matrix = encoded(encoded_for, rows)
        answers = yield from _answers(model, matrix, version, bulk)
        answered = answers[0].version
        try:
            manifest = yield from self.manifest(model, answered)
        except NotFound:
            if version:
                raise
            # Another version took its place between the two calls.
            return (yield from self._predict(model, rows, None, bulk))
        self._last_versions[model] = answered
        if encoded_for is not None and inputs_of(encoded_for) != inputs_of(manifest):
            # Another version has come meanwhile, and somebody gave it other inputs under the old name.
            return (yield from self._predict(model, rows, answered, bulk))
        return joined(manifest, answers, len(matrix))


def request_rows(feature_count: int) -> int:
    """How many rows of so many features one request may hold, by the server's bounds on rows and bytes."""
    return max(1, min(MAX_REQUEST_ROWS, (MAX_MESSAGE_BYTES - _ENVELOPE_BYTES) // (4 * feature_count)))


def given(rows: Rows) -> Matrix | Records:
    """What was given: numbers in the model's order, or one mapping a row.

    Raises:
        InvalidInput: when it is neither.
    """
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        # A DataFrame says which column is which: going by position could mix them up in silence.
        rows = rows.to_dict("records")
    if isinstance(rows, Mapping):
        return [rows]
    if isinstance(rows, list | tuple) and rows and isinstance(rows[0], Mapping):
        return rows
    return matrix_of(rows)  # type: ignore[arg-type]  # the mappings are gone


def encoded(manifest: manifest_pb2.ModelManifest, rows: Matrix | Records) -> Matrix:
    """The rows as the model takes them.

    Raises:
        InvalidInput: when a row does not fit the manifest.
    """
    if isinstance(rows, np.ndarray):
        return rows
    return features(manifest, rows_of(rows, [column.name for column in manifest.columns]))


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


def inputs_of(manifest: manifest_pb2.ModelManifest) -> list[tuple[object, ...]]:
    """All that encoding goes by."""
    columns: list[tuple[object, ...]] = [(column.name, *column.categories) for column in manifest.columns]
    return columns + [(one.column, one.category, one.HasField("imputed")) for one in manifest.features]


def _answers(
    model: str, matrix: Matrix, version: int | None, bulk: bool
) -> Steps[list[prediction_pb2.PredictResponse]]:
    """The answers to all rows in order, all by the version that answered first."""
    answers: list[prediction_pb2.PredictResponse] = []
    chunk_rows = request_rows(matrix.shape[1])
    for start in range(0, len(matrix), chunk_rows):
        chunk = matrix[start : start + chunk_rows]
        request = predict_request(model, chunk, answers[0].version if answers else version or 0, bulk)
        rpc = Rpc("/kan_api.v1.PredictionService/Predict", request, prediction_pb2.PredictResponse)
        answers.append((yield from rpc.answer()))
    return answers
