"""What a client says to a server, without a transport: each method gives the calls to make, one after the other."""

import logging
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from google.protobuf import wrappers_pb2
from numpy.typing import ArrayLike

from kan_api.v1 import manifest_pb2, prediction_pb2
from service.client.answers import Health, ModelInfo, Prediction, joined, model_info
from service.client.connection import Rpc, Steps
from service.client.errors import NotFound
from service.client.limits import Limits, widest
from service.client.rows import Matrix, features, matrix_of, rows_of
from service.client.streaming.chunks import VersionGone, answer_to, chunk_answers, of_version

# How often the rows of one call are asked for anew since the version that had begun to answer them is gone.
MOST_FRESH_STARTS = 3

_log = logging.getLogger("service.client")

Records: TypeAlias = Sequence[Mapping[str, object]]
RowsLike: TypeAlias = ArrayLike | Mapping[str, object] | Records


class Conversation:
    """What is asked, and what has been learned on the way; for any number of threads or tasks.

    The methods are those of :class:`service.client.client.Client`.
    """

    def __init__(self) -> None:
        self.limits = Limits()  # as the server that was asked last told them
        self._manifests: dict[tuple[str, int], manifest_pb2.ModelManifest] = {}
        self._last_versions: dict[str, int] = {}

    def predict(self, model: str, rows: RowsLike, version: int | None, bulk: bool) -> Steps[Prediction]:
        """Answers for the rows, all from one version of the model."""
        return self._predict(model, given(rows), version, bulk)

    def models(self) -> Steps[list[ModelInfo]]:
        """Every model version that the server knows."""
        request = prediction_pb2.ListModelsRequest()
        response = yield from answer_to(
            Rpc("/kan_api.v1.PredictionService/ListModels", request, prediction_pb2.ListModelsResponse)
        )
        return [model_info(status) for status in response.models]

    def manifest(self, model: str, version: int | None) -> Steps[manifest_pb2.ModelManifest]:
        """A version's manifest, fetched once since versions never change; which one is the latest is always asked."""
        known = self._manifests.get((model, version)) if version else None
        if known is not None:
            return known
        return self._learned(model, (yield from answer_to(_get_model(model, version or 0))))

    def manifest_of(self, model: str, answered: int) -> Steps[manifest_pb2.ModelManifest]:
        """The manifest of a version that has answered.

        Raises:
            VersionGone: when it is not there any more.
        """
        known = self._manifests.get((model, answered))
        if known is not None:
            return known
        return self._learned(model, (yield from of_version(lambda: answer_to(_get_model(model, answered)))))

    def health(self, service: str) -> Steps[Health]:
        """Whether the server or one of its models answers."""
        # On the wire HealthCheckRequest is a StringValue and HealthCheckResponse an Int32Value; the package that holds
        # them would be one more thing to install.
        request = wrappers_pb2.StringValue(value=service)
        response = yield from answer_to(Rpc("/grpc.health.v1.Health/Check", request, wrappers_pb2.Int32Value))
        return Health(response.value)

    def _learned(self, model: str, response: prediction_pb2.GetModelResponse) -> manifest_pb2.ModelManifest:
        """Keep what GetModel tells."""
        self.limits = Limits.of(response)
        self._manifests[model, response.manifest.version] = response.manifest
        return response.manifest

    def _predict(self, model: str, rows: Matrix | Records, version: int | None, bulk: bool) -> Steps[Prediction]:
        pinned, begun_anew = version, 0
        while True:
            # Versions of a model take the same inputs nearly always, so the one that answered last is as good as the
            # latest to encode by.
            encoded_for = yield from self.manifest(model, pinned or self._last_versions.get(model))
            matrix = encoded(encoded_for, rows)
            try:
                chunk_rows = self.limits.shared_rows(max(matrix.shape[1], widest(encoded_for)))
                answers = yield from chunk_answers(model, matrix, pinned, bulk, chunk_rows)
                answered = answers[0].version
                manifest = yield from self.manifest_of(model, answered)
            except VersionGone as gone:
                if version:
                    raise
                if begun_anew == MOST_FRESH_STARTS:
                    raise NotFound(f"{gone}; {begun_anew} versions before it went too: try again later") from gone
                pinned, begun_anew = None, begun_anew + 1
                _log.warning("%s; its rows are asked for anew of the newest version", gone)
                continue
            self._last_versions[model] = answered
            if isinstance(rows, np.ndarray) or inputs_of(encoded_for) == inputs_of(manifest):
                return joined(manifest, answers, len(matrix))
            # Another version has come meanwhile, and somebody gave it other inputs under the old name.
            pinned = answered


def _get_model(model: str, version: int) -> Rpc[prediction_pb2.GetModelResponse]:
    request = prediction_pb2.GetModelRequest(model=model, version=version)
    return Rpc("/kan_api.v1.PredictionService/GetModel", request, prediction_pb2.GetModelResponse)


def given(rows: RowsLike) -> Matrix | Records:
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


def inputs_of(manifest: manifest_pb2.ModelManifest) -> list[tuple[object, ...]]:
    """All that encoding goes by."""
    columns: list[tuple[object, ...]] = [(column.name, *column.categories) for column in manifest.columns]
    return columns + [(one.column, one.category, one.HasField("imputed")) for one in manifest.features]
