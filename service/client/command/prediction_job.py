"""The options of one `kan-client predict`, and its result."""

from dataclasses import dataclass

from kan_api.cells import quoted
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from service.client.answers import set_threshold
from service.client.command.answer_table import Style, column_names, value_names
from service.client.command.row_file import Format
from service.client.encoding.table_rows import Decimal
from service.client.errors import InvalidInput


@dataclass(frozen=True)
class PredictionJob:
    """The options of one `kan-client predict`.

    model              name of the model
    version            a number; None is the latest that is ready when the table begins
    source             name of the file, for messages
    file_format        format of the file
    decimal            the mark before the decimals of the file's numbers
    style              format of the answers
    all_probabilities  whether to print the probability of every class, not only the label's
    sets               whether to print the set of classes of each row
    target             column with the true values; None if there is none
    keep               columns of the file to print before the answers
    strict             whether one bad row refuses the file
    longest_wait_seconds  longest wait for one request that a quota refuses; None: as long as the server says
    skip_rows          rows at the start of the file that get no line, because they were answered before
    """

    model: str
    version: int | None
    source: str
    file_format: Format
    style: Style
    all_probabilities: bool
    target: str | None
    keep: tuple[str, ...] = ()
    strict: bool = False
    longest_wait_seconds: float | None = None
    skip_rows: int = 0
    decimal: Decimal = "."
    sets: bool = False

    def columns_to_read(self, manifest: ModelManifest) -> list[str]:
        """The columns that the file must have."""
        target = [self.target] if self.target else []
        return list(dict.fromkeys([*(column.name for column in manifest.columns), *target, *self.keep]))

    def columns_of_answer(self, manifest: ModelManifest) -> list[str]:
        """The names of the columns of an answer. Beside columns of the file, a target is called predicted_<target>.

        Raises:
            InvalidInput: when a column to keep has one of these names, or when the version lacks the sets to print.
        """
        if self.sets and set_threshold(manifest) is None:
            if manifest.task != TASK_CLASSIFICATION:
                raise InvalidInput(
                    f"--set: {manifest.name} answers with numbers, and sets are of classes; bounds around numbers, "
                    "where a version has them, are printed without an option"
                )
            raise InvalidInput(
                f"--set: version {manifest.version} of {manifest.name} has no sets of classes; wanted a version that "
                "was trained with coverage in [calibration] of its recipe"
            )
        names = column_names(manifest, self.all_probabilities, self.sets)
        if self.keep:
            targets = len(target_names(manifest))
            names = [f"predicted_{name}" if place < targets else name for place, name in enumerate(names)]
        for name in self.keep:
            if name in names:
                raise InvalidInput(
                    f"{self.source}: column {quoted(name)} cannot be kept, because a column of the answer has that "
                    "name; rename it in the file"
                )
        return names


def target_names(manifest: ModelManifest) -> list[str]:
    """The first columns of an answer, which are named after columns of the training table; none for a nameless target.

    Of classes that is the label; the other columns are probabilities.
    """
    is_classification = manifest.task == TASK_CLASSIFICATION
    names = column_names(manifest, all_probabilities=False) if is_classification else value_names(manifest)
    if not manifest.target and names[0].startswith("prediction"):
        return []
    return names[:1] if is_classification else names


@dataclass(frozen=True)
class Outcome:
    """The result of one `kan-client predict`.

    score        how good the answers are, as one line; "" without a target
    has_bad_row  whether a row got no answer, or could not be compared with its true value
    """

    score: str
    has_bad_row: bool
