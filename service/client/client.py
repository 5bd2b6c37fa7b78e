"""Predictions over gRPC from Python, numpy in and numpy out.

    with Client("127.0.0.1:8001") as client:
        prediction = client.predict("digits", rows)

Needs numpy, grpcio and protobuf, and goes together with tritonclient in one process.
"""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from google.protobuf import wrappers_pb2
from numpy.typing import ArrayLike

from kan_api.v1 import manifest_pb2, prediction_pb2
from service.client.answers import Health, ModelInfo, Prediction, joined, model_info
from service.client.connection import MAX_MESSAGE_BYTES, Connection, Deadline
from service.client.rows import Matrix, features, matrix_of, rows_of

MAX_REQUEST_ROWS = 4096

# Names, lengths and tags around the numbers of a request.
_ENVELOPE_BYTES = 2**14

_Records = Sequence[Mapping[str, object]]


class Client:
    """A connection to one server, for any number of threads; close it, or use it in a `with`.

    Calls that find the server unavailable are repeated for a second or two; no other failure is.

    Args:
        address: "host:port".
        timeout_seconds: how long a method may take in all, unless it is told otherwise.

    Raises:
        ValueError: when the address is of another form or the timeout is not positive.
    """

    def __init__(self, address: str, timeout_seconds: float = 10.0) -> None:
        Deadline.after(timeout_seconds)
        self._timeout_seconds = timeout_seconds
        self._connection = Connection(address)
        self._manifests: dict[tuple[str, int], manifest_pb2.ModelManifest] = {}
        self._last_versions: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        self._connection.close()

    def predict(
        self,
        model: str,
        rows: ArrayLike | Mapping[str, object] | _Records,
        version: int | None = None,
        timeout_seconds: float | None = None,
    ) -> Prediction:
        """Answers for the rows, all from one version of the model.

        Args:
            model: its name.
            rows: numbers [rows, features] in the order of the model's features, or [features] for one row; or rows by
                column name, in any order, words as words: one dict a row, or a DataFrame. Columns that the model does
                not know are ignored. More rows than the server takes at once are sent one request after the other.
            version: None is the latest that is ready.
            timeout_seconds: for all of it; None is the client's.

        Raises:
            InvalidInput: when the rows do not fit the model.
            NotFound: when there is no such model or version.
            Overloaded, DeadlineExceeded, Unavailable: when the server is too busy, too slow or not there.
            ClientError: when it fails in any other way.
        """
        deadline = self._deadline(timeout_seconds)
        return self._predict(model, _given(rows), version, deadline)

    def models(self, timeout_seconds: float | None = None) -> list[ModelInfo]:
        """Every model version that the server knows, ready or not."""
        response = self._connection.call(
            "/kan_api.v1.PredictionService/ListModels",
            prediction_pb2.ListModelsRequest(),
            prediction_pb2.ListModelsResponse,
            self._deadline(timeout_seconds),
        )
        return [model_info(status) for status in response.models]

    def manifest(
        self, model: str, version: int | None = None, timeout_seconds: float | None = None
    ) -> manifest_pb2.ModelManifest:
        """What a model version says about itself: columns, classes, metrics, formula.

        Args:
            model: its name.
            version: None is the latest that is ready.
            timeout_seconds: None is the client's.

        Raises:
            NotFound: when there is no such model or version.
        """
        return self._manifest(model, version, self._deadline(timeout_seconds))

    def health(self, service: str = "", timeout_seconds: float | None = None) -> Health:
        """Whether the server ("") or one of its models (its name) answers predictions now.

        Raises:
            NotFound: when the server does not know the service.
        """
        # On the wire HealthCheckRequest is a StringValue and HealthCheckResponse an Int32Value; the package that holds
        # them would be one more thing to install.
        response = self._connection.call(
            "/grpc.health.v1.Health/Check",
            wrappers_pb2.StringValue(value=service),
            wrappers_pb2.Int32Value,
            self._deadline(timeout_seconds),
        )
        return Health(response.value)

    def _predict(self, model: str, given: Matrix | _Records, version: int | None, deadline: Deadline) -> Prediction:
        if isinstance(given, np.ndarray):
            encoded_for, matrix = None, given
        else:
            # All versions of a model take the same inputs, so the one that answered last is as good as the latest.
            encoded_for = self._manifest(model, version or self._last_versions.get(model), deadline)
            names = [column.name for column in encoded_for.columns]
            matrix = features(encoded_for, rows_of(given, names))
        answers = self._answers(model, matrix, version, deadline)
        answered = answers[0].version
        self._last_versions[model] = answered
        manifest = self._manifest(model, answered, deadline)
        if encoded_for is not None and _inputs(encoded_for) != _inputs(manifest):
            # Another version has come meanwhile, and somebody gave it other inputs under the old name.
            return self._predict(model, given, answered, deadline)
        return joined(manifest, answers, len(matrix))

    def _answers(
        self, model: str, matrix: Matrix, version: int | None, deadline: Deadline
    ) -> list[prediction_pb2.PredictResponse]:
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
            answers.append(
                self._connection.call(
                    "/kan_api.v1.PredictionService/Predict", request, prediction_pb2.PredictResponse, deadline
                )
            )
        return answers

    def _manifest(self, model: str, version: int | None, deadline: Deadline) -> manifest_pb2.ModelManifest:
        """A version's manifest, fetched once since versions never change; which one is the latest is always asked."""
        known = self._manifests.get((model, version)) if version else None
        if known is not None:
            return known
        response = self._connection.call(
            "/kan_api.v1.PredictionService/GetModel",
            prediction_pb2.GetModelRequest(model=model, version=version or 0),
            prediction_pb2.GetModelResponse,
            deadline,
        )
        self._manifests[model, response.manifest.version] = response.manifest
        return response.manifest

    def _deadline(self, timeout_seconds: float | None) -> Deadline:
        return Deadline.after(self._timeout_seconds if timeout_seconds is None else timeout_seconds)


def request_rows(feature_count: int) -> int:
    """How many rows of so many features one request may hold, by the server's bounds on rows and bytes."""
    return max(1, min(MAX_REQUEST_ROWS, (MAX_MESSAGE_BYTES - _ENVELOPE_BYTES) // (4 * feature_count)))


def _given(rows: ArrayLike | Mapping[str, object] | _Records) -> Matrix | _Records:
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
