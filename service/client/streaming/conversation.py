"""The calls of a client, without a transport: each method is a generator of the calls to make, one after the other."""

import logging
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from google.protobuf import wrappers_pb2
from numpy.typing import ArrayLike

from kan_api.v1 import manifest_pb2, prediction_pb2
from kan_api.v1.manifest_pb2 import ModelManifest
from service.client.answers import Health, ModelInfo, Prediction, join_answers, model_info
from service.client.connection import Rpc, Steps
from service.client.encoding.other_words import OtherWords
from service.client.encoding.rows import Matrix, features, matrix_of, rows_of
from service.client.errors import NotFound
from service.client.limits import Limits, widest
from service.client.streaming.chunks import VersionGone, answer_to, chunk_answers, of_version

# How often the rows of one call are predicted again because the version that answered first was removed.
MOST_FRESH_STARTS = 3

_log = logging.getLogger("service.client")

Records: TypeAlias = Sequence[Mapping[str, object]]
RowsLike: TypeAlias = ArrayLike | Mapping[str, object] | Records
CallerRows: TypeAlias = Matrix | Records

_Result = TypeVar("_Result")
Send: TypeAlias = Callable[[ModelManifest, int | None], Steps[tuple[int, _Result]]]


@dataclass(frozen=True)
class _Predicted:
    """The answers to all rows of a call, the number of rows, and how many cells were taken as "other"."""

    answers: Sequence[prediction_pb2.PredictResponse]
    rows: int
    other_cells: int


class Conversation:
    """The calls of a client, with a cache of manifests and limits. Any number of threads or tasks may use it.

    The methods are those of :class:`service.client.client.Client`.
    """

    def __init__(self) -> None:
        self.limits = Limits()  # from the latest GetModel answer
        self._manifests: dict[tuple[str, int], manifest_pb2.ModelManifest] = {}
        self._last_versions: dict[str, int] = {}

    def predict(
        self, model: str, rows: RowsLike, version: int | None, bulk: bool, report_ground: bool = False
    ) -> Steps[Prediction]:
        """Predict the rows, all with one version of the model."""
        caller_rows = read_rows(rows)

        def send(manifest: ModelManifest, pinned: int | None) -> Steps[tuple[int, _Predicted]]:
            others = OtherWords()
            matrix = encode_rows(manifest, caller_rows, others)
            chunk_rows = self.limits.shared_rows(max(matrix.shape[1], widest(manifest)))
            answers = yield from chunk_answers(model, matrix, pinned, bulk, chunk_rows, report_ground)
            return answers[0].version, _Predicted(answers, len(matrix), others.cells)

        manifest, found = yield from self.by_one_version(model, version, send, [caller_rows])
        return join_answers(manifest, found.answers, found.rows, found.other_cells)

    def by_one_version(
        self, model: str, version: int | None, send: Send[_Result], given: Sequence[CallerRows]
    ) -> Steps[tuple[ModelManifest, _Result]]:
        """Send all rows of a call to one version.

        Args:
            model: its name.
            version: a number; None is the latest that is ready.
            send: encodes the rows for a version and sends them to the version with the given number, or without a
                number to the latest; gives the number of the version that answered, and a result.
            given: the rows; those in words depend on the version that they are encoded for.

        Returns:
            The manifest of the version that answered, and the result.

        Raises:
            ValueError: when the version is no number of a version.
        """
        _check_version(version)  # "" is not None: it asks for no latest version
        pinned, begun_anew = version, 0
        while True:
            # The rows are encoded for the version that answered last, which spares a call: nearly always all versions
            # of a model have the same inputs. The comparison below finds the exceptions.
            encoded_for = yield from self.manifest(model, pinned or self._last_versions.get(model))
            try:
                answered, result = yield from send(encoded_for, pinned)
                manifest = yield from self.manifest_of(model, answered)
            except VersionGone as gone:
                if version:
                    raise
                if begun_anew == MOST_FRESH_STARTS:
                    raise NotFound(f"{gone}; {begun_anew} versions before it went too: try again later") from gone
                pinned, begun_anew = None, begun_anew + 1
                _log.warning("%s; the rows are sent again to the newest version", gone)
                continue
            self._last_versions[model] = answered
            numbers = all(isinstance(rows, np.ndarray) for rows in given)
            if numbers or inputs_of(encoded_for) == inputs_of(manifest):
                return manifest, result
            # A version with other inputs was published under the same name. Encode the rows again, for that version.
            pinned = answered

    def models(self) -> Steps[list[ModelInfo]]:
        """Every model version that the server knows."""
        request = prediction_pb2.ListModelsRequest()
        response = yield from answer_to(
            Rpc("/kan_api.v1.PredictionService/ListModels", request, prediction_pb2.ListModelsResponse)
        )
        return [model_info(status) for status in response.models]

    def manifest(self, model: str, version: int | None) -> Steps[manifest_pb2.ModelManifest]:
        """The manifest of a version. It is fetched once, because a version never changes.

        Without a number the server is always asked, because the latest version changes.

        Raises:
            ValueError: when the version is no number of a version.
        """
        _check_version(version)
        known = self._manifests.get((model, version)) if version else None
        if known is not None:
            return known
        return self._remember(model, (yield from answer_to(_get_model(model, version or 0))))

    def manifest_of(self, model: str, answered: int) -> Steps[manifest_pb2.ModelManifest]:
        """The manifest of a version that has answered.

        Raises:
            VersionGone: when the version has been removed.
        """
        known = self._manifests.get((model, answered))
        if known is not None:
            return known
        return self._remember(model, (yield from of_version(lambda: answer_to(_get_model(model, answered)))))

    def health(self, service: str) -> Steps[Health]:
        """Whether the server or one of its models answers."""
        # HealthCheckRequest has the wire format of StringValue, and HealthCheckResponse that of Int32Value. Using those
        # spares a dependency on grpcio-health-checking.
        request = wrappers_pb2.StringValue(value=service)
        response = yield from answer_to(Rpc("/grpc.health.v1.Health/Check", request, wrappers_pb2.Int32Value))
        return Health(response.value)

    def _remember(self, model: str, response: prediction_pb2.GetModelResponse) -> manifest_pb2.ModelManifest:
        """Keep the limits and the manifest of an answer to GetModel."""
        self.limits = Limits.of(response)
        self._manifests[model, response.manifest.version] = response.manifest
        return response.manifest


def _get_model(model: str, version: int) -> Rpc[prediction_pb2.GetModelResponse]:
    request = prediction_pb2.GetModelRequest(model=model, version=version)
    return Rpc("/kan_api.v1.PredictionService/GetModel", request, prediction_pb2.GetModelResponse)


def _check_version(version: object) -> None:
    """Refuse a version that no message can hold. The server tells which numbers there are."""
    try:
        fits = version is None or -(2**63) <= operator.index(version) < 2**63  # type: ignore[arg-type]  # if it can
    except TypeError:
        fits = False
    if not fits:
        raise ValueError(f"version is {version!r:.100}, wanted a whole number as in version=3, or None for the latest")


def read_rows(rows: RowsLike) -> CallerRows:
    """The caller's rows in one of two forms: numbers in the model's order, or one mapping a row.

    Raises:
        InvalidInput: when the rows fit neither form.
    """
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        # Columns of a DataFrame are matched by name: by position they could be mixed up in silence.
        rows = rows.to_dict("records")
    if isinstance(rows, Mapping):
        return [rows]
    if isinstance(rows, list | tuple) and rows and isinstance(rows[0], Mapping):
        return rows
    return matrix_of(rows)  # type: ignore[arg-type]  # rows is no mapping here


def encode_rows(manifest: manifest_pb2.ModelManifest, rows: CallerRows, others: OtherWords) -> Matrix:
    """The rows as the model takes them; `others` counts the words that it takes as "other".

    Raises:
        InvalidInput: when a row does not fit the manifest.
    """
    if isinstance(rows, np.ndarray):
        return rows
    return features(manifest, rows_of(rows, [column.name for column in manifest.columns]), others)


def inputs_of(manifest: manifest_pb2.ModelManifest) -> list[tuple[object, ...]]:
    """Everything in a manifest that the encoding of rows depends on."""
    columns: list[tuple[object, ...]] = [(column.SerializeToString(deterministic=True),) for column in manifest.columns]
    return columns + [(one.column, one.category, one.HasField("imputed")) for one in manifest.features]
