"""Answers of the server as plain Python values."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kan_api.v1 import manifest_pb2, prediction_pb2
from service.client.encoding.rows import Matrix
from service.client.errors import ClientError

# The outputs that are the bounds around the answers.
BOUNDS = ("lower", "upper")


@dataclass(frozen=True)
class UnknownCell:
    """A cell that no training row resembles.

    row     place of the row among those that were sent, from 0
    column  name of the column
    reason  "outside_range", "empty_cell" (of the histogram: a gap between training rows) or "unseen_word"
    value   the value as the model takes it; of a date the days since the first training day, of a word NaN
    """

    row: int
    column: str
    reason: str
    value: float


@dataclass(frozen=True)
class Ground:
    """Where rows lie, compared with the training rows.

    is_known       False if the model has no histograms; then the rest is empty
    unknown_rows   number of rows with an unknown cell
    unknown_cells  number of unknown cells
    cells          the first of them, row by row; the server tells at most 1,000 a request
    """

    is_known: bool
    unknown_rows: int
    unknown_cells: int
    cells: tuple[UnknownCell, ...]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Answers of one model version, one row for each row that was sent.

    outputs          by output name, float32 [rows, width], in the model's order
    labels           the most likely class of each row, or None for a row whose answer is NaN; for regression None
    queue_seconds    time that the rows waited in the queue, summed over their requests
    compute_seconds  duration of the runs that computed the rows, summed over their requests
    other_cells      cells that hold none of their column's words and were taken as "other"
    ground           which cells no training row resembles; None unless it was asked for or the model always tells it
    classes          names of the classes; empty for regression
    set_threshold    the least probability of a class in a set; None if the model has no sets of classes
    """

    model: str
    version: int
    outputs: dict[str, Matrix]
    labels: tuple[str | None, ...] | None
    queue_seconds: float
    compute_seconds: float
    other_cells: int = 0
    ground: Ground | None = None
    classes: tuple[str, ...] = ()
    set_threshold: float | None = None

    @property
    def values(self) -> Matrix:
        """The first output: the probability of each class, or the predicted value; float32 [rows, width]."""
        return next(iter(self.outputs.values()))

    @property
    def bounds(self) -> tuple[Matrix, Matrix] | None:
        """The lower and the upper bound of each value, float32 [rows, width] each; None if the model has none."""
        lower, upper = (self.outputs.get(name) for name in BOUNDS)
        return None if lower is None or upper is None else (lower, upper)

    @property
    def sets(self) -> tuple[tuple[str, ...] | None, ...] | None:
        """The set of classes of each row, the most probable first; None if the model has none.

        A set has the most probable class and each class whose probability is at least the threshold; see
        docs/calibration.md. A row whose answer is NaN has None.
        """
        if self.set_threshold is None:
            return None
        # In the same order as `labels`: the first of equally probable classes comes first.
        orders = np.argsort(-self.values, axis=1, kind="stable")
        # The threshold is a float32 number, and so is compared exactly.
        sizes = np.maximum((self.values >= np.float32(self.set_threshold)).sum(axis=1), 1)
        unsure = np.asarray(np.isnan(self.values).any(axis=1))
        return tuple(
            None if nan else tuple(self.classes[place] for place in order[:size])
            for order, size, nan in zip(orders.tolist(), sizes.tolist(), unsure.tolist(), strict=True)
        )


@dataclass(frozen=True)
class ModelInfo:
    """A model version that the server knows.

    state   "loading", "ready" or "refused"; `reason` says why it was refused
    task    "classification" or "regression"
    latest  whether this version answers requests that name no version
    """

    name: str
    version: int
    state: str
    task: str
    feature_count: int
    latest: bool
    reason: str


class Health(enum.IntEnum):
    """The status of a server or of one of its models, as in grpc.health.v1."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


def join_answers(
    manifest: manifest_pb2.ModelManifest,
    answers: Sequence[prediction_pb2.PredictResponse],
    rows: int,
    other_cells: int = 0,
) -> Prediction:
    """One prediction from the answers to consecutive requests.

    Args:
        manifest: the manifest of the version that answered.
        answers: at least one.
        rows: the number of rows that were sent.
        other_cells: see :class:`Prediction`.

    Raises:
        ClientError: when the answers do not fit the rows or the manifest.
    """
    outputs = {
        output.name: np.concatenate([decode_matrix(answer.outputs[place].values) for answer in answers])
        for place, output in enumerate(answers[0].outputs)
    }
    if not outputs or any(len(values) != rows for values in outputs.values()):
        raise ClientError(
            f"{manifest.name} was sent {rows} rows and answered another number of rows; is this a kan-serve?"
        )
    return Prediction(
        model=manifest.name,
        version=manifest.version,
        outputs=outputs,
        labels=_labels(manifest, next(iter(outputs.values()))),
        queue_seconds=sum(answer.queue_seconds for answer in answers),
        compute_seconds=sum(answer.compute_seconds for answer in answers),
        other_cells=other_cells,
        ground=_ground_of(answers),
        classes=tuple(manifest.classes),
        set_threshold=set_threshold(manifest),
    )


def set_threshold(manifest: manifest_pb2.ModelManifest) -> float | None:
    """The least probability of a class in a set; None if the version has no sets of classes."""
    has_sets = manifest.HasField("calibration") and manifest.calibration.HasField("sets")
    return manifest.calibration.sets.threshold if has_sets else None


def model_info(status: prediction_pb2.ModelStatus) -> ModelInfo:
    """The entry of one model version in the server's list."""
    return ModelInfo(
        name=status.name,
        version=status.version,
        state=prediction_pb2.ModelState.Name(status.state).removeprefix("MODEL_STATE_").lower(),
        task=manifest_pb2.Task.Name(status.task).removeprefix("TASK_").lower(),
        feature_count=status.feature_count,
        latest=status.latest,
        reason=status.reason,
    )


def join_ground(grounds: Sequence[prediction_pb2.Ground], rows: Sequence[int]) -> Ground:
    """The ground of all rows, from the answers to consecutive requests.

    Args:
        grounds: one of each answer.
        rows: the number of rows of each.
    """
    cells, start = [], 0
    for ground, count in zip(grounds, rows, strict=True):
        cells += [
            UnknownCell(start + cell.row, cell.column, _reason_name(cell.reason), cell.value) for cell in ground.cells
        ]
        start += count
    return Ground(
        is_known=all(ground.is_known for ground in grounds),
        unknown_rows=sum(ground.unknown_rows for ground in grounds),
        unknown_cells=sum(ground.unknown_cells for ground in grounds),
        cells=tuple(cells),
    )


def _ground_of(answers: Sequence[prediction_pb2.PredictResponse]) -> Ground | None:
    """The ground of all rows; None if one of the answers does not tell it."""
    if not answers or not all(answer.HasField("ground") for answer in answers):
        return None
    return join_ground([answer.ground for answer in answers], [answer.outputs[0].values.rows for answer in answers])


def _reason_name(reason: int) -> str:
    """The reason in words; a newer server may have one that this client does not know."""
    if reason not in prediction_pb2.UnknownCell.Reason.values():
        return f"reason_{reason}"
    return prediction_pb2.UnknownCell.Reason.Name(reason).removeprefix("REASON_").lower()


def decode_matrix(matrix: prediction_pb2.Matrix) -> Matrix:
    """The numbers of a message, float32 [rows, columns]."""
    numbers = np.frombuffer(matrix.raw, dtype="<f4") if matrix.raw else np.array(matrix.values)
    return numbers.astype(np.float32).reshape(matrix.rows, matrix.columns)


def _labels(manifest: manifest_pb2.ModelManifest, probabilities: Matrix) -> tuple[str | None, ...] | None:
    if manifest.task != manifest_pb2.TASK_CLASSIFICATION:
        return None
    if probabilities.shape[1] != len(manifest.classes):
        raise ClientError(
            f"{manifest.name} answered {probabilities.shape[1]} probabilities, its manifest has "
            f"{len(manifest.classes)} classes"
        )
    unsure = np.asarray(np.isnan(probabilities).any(axis=1))
    best = np.argmax(probabilities, axis=1)
    return tuple(
        None if nan else manifest.classes[place] for place, nan in zip(best.tolist(), unsure.tolist(), strict=True)
    )
