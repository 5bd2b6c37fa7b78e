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
from service.client.rows import Matrix, features, matrix_of, rows_of

MAX_REQUEST_ROWS = 4096

# Names, lengths and tags around the numbers of a request.
_ENVELOPE_BYTES = 2**14

_Records: TypeAlias = Sequence[Mapping[str, object]]
Rows: TypeAlias = ArrayLike | Mapping[str, object] | _Records


class Conversation:
    """What is asked, and what has been learned on the way; for any number of threads or tasks.

    The methods are those of :class:`service.client.client.Client`.
    """

    def __init__(self) -> None:
        self._manifests: dict[tuple[str, int], manifest_pb2.ModelManifest] = {}
        self._last_versions: dict[str, int] = {}

    def predict(self, model: str, rows: Rows, version: int | None) -> Steps[Prediction]:
        """Answers for the rows, all from one version of the model."""
        return self._predict(model, _given(rows), version)

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

    def _predict(self, model: str, given: Matrix | _Records, version: int | None) -> Steps[Prediction]:
        if isinstance(given, np.ndarray):
            encoded_for, matrix = None, given
        else:
            # All versions of a model take the same inputs, so the one that answered last is as good as the latest.
            encoded_for = yield from self.manifest(model, version or self._last_versions.get(model))
            names = [column.name for column in encoded_for.columns]
            matrix = features(encoded_for, rows_of(given, names))
        answers = yield from _answers(model, matrix, version)
        answered = answers[0].version
        self._last_versions[model] = answered
        manifest = yield from self.manifest(model, answered)
        if encoded_for is not None and _inputs(encoded_for) != _inputs(manifest):
            # Another version has come meanwhile, and somebody gave it other inputs under the old name.
            return (yield from self._predict(model, given, answered))
        return joined(manifest, answers, len(matrix))


def request_rows(feature_count: int) -> int:
    """How many rows of so many features one request may hold, by the server's bounds on rows and bytes."""
    return max(1, min(MAX_REQUEST_ROWS, (MAX_MESSAGE_BYTES - _ENVELOPE_BYTES) // (4 * feature_count)))


def _answers(model: str, matrix: Matrix, version: int | None) -> Steps[list[prediction_pb2.PredictResponse]]:
    """The answers to all rows in order, all by the version that answered first."""
    answers: list[prediction_pb2.PredictResponse] = []
    chunk_rows = request_rows(matrix.shape[1])
    for start in range(0, len(matrix), chunk_rows):
        chunk = matrix[start : start + chunk_rows]
        request = prediction_pb2.PredictRequest(
            model=model,
            version=answers[0].version if answers else version or 0,
            features=prediction_pb2.Matrix(
                rows=len(chunk), columns=chunk.shape[1], raw=chunk.astype("<f4", copy=False).tobytes()
            ),
        )
        rpc = Rpc("/kan_api.v1.PredictionService/Predict", request, prediction_pb2.PredictResponse)
        answers.append((yield from rpc.answer()))
    return answers


def _given(rows: Rows) -> Matrix | _Records:
    """What was given: numbers in the model's order, or one mapping a row."""
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        # A DataFrame says which column is which: going by position could mix them up in silence.
        rows = rows.to_dict("records")
    if isinstance(rows, Mapping):
        return [rows]
    if isinstance(rows, list | tuple) and rows and isinstance(rows[0], Mapping):
        return rows
    return matrix_of(rows)  # type: ignore[arg-type]  # the mappings are gone


def _inputs(manifest: manifest_pb2.ModelManifest) -> list[tuple[object, ...]]:
    """All that encoding goes by."""
    columns: list[tuple[object, ...]] = [(column.name, *column.categories) for column in manifest.columns]
    return columns + [(one.column, one.category, one.HasField("imputed")) for one in manifest.features]
