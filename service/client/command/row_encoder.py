"""The rows of a block as the model takes them. A row that does not fit the model is found, and the others go on."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial

from kan_api.v1.manifest_pb2 import Column, ModelManifest
from service.client.command.reading.file_block import FileBlock, pick_rows
from service.client.encoding.other_words import OtherWords
from service.client.encoding.rows import Matrix, features
from service.client.encoding.table_rows import TableRows
from service.client.errors import InvalidInput


@dataclass(frozen=True)
class EncodedBlock:
    """The rows of a block that fit the model.

    good    their numbers in the block
    matrix  their features; None if there is no such row
    faults  for each other row: what is wrong with it, with its place in the file
    """

    good: Sequence[int]
    matrix: Matrix | None
    faults: dict[int, str]

    def features_of(self, chosen: Sequence[int]) -> Matrix:
        """The features of some of the good rows."""
        assert self.matrix is not None
        if len(chosen) == len(self.matrix):
            return self.matrix
        places = {row: place for place, row in enumerate(self.good)}
        matrix: Matrix = self.matrix[[places[row] for row in chosen]]
        return matrix

    def without(self, faults: Mapping[int, str]) -> "EncodedBlock":
        """The block without these good rows, whose faults are added."""
        good = [row for row in self.good if row not in faults]
        return EncodedBlock(good, self.features_of(good) if good else None, {**self.faults, **faults})


class RowEncoder:
    """Encodes the rows of files for one version of a model.

    Args:
        manifest: has the columns of the table and the features of the model.

    Attributes:
        others: counts the words of encoded rows that are taken as "other".
    """

    def __init__(self, manifest: ModelManifest) -> None:
        self._manifest = manifest
        self.others = OtherWords()

    def encode(self, block: FileBlock) -> EncodedBlock:
        """Encode a block of which every row must fit the model.

        Raises:
            InvalidInput: for the first row that does not.
        """
        if block.faults:
            raise InvalidInput(block.faults[min(block.faults)])
        return self._encode(block.rows, range(block.rows.count), {})

    def encode_good(self, block: FileBlock) -> EncodedBlock:
        """Encode the rows of a block that fit the model."""
        rows, faults = block.rows, dict(block.faults)
        good = [row for row in range(rows.count) if row not in faults] if faults else range(rows.count)
        with suppress(InvalidInput):  # some rows do not fit
            return self._encode(rows, good, faults)
        for part in self._parts:
            faults |= find_refused(good, partial(_check, part, rows))
            good = [row for row in good if row not in faults]
        return self._encode(rows, good, faults)

    def _encode(self, rows: TableRows, good: Sequence[int], faults: dict[int, str]) -> EncodedBlock:
        if len(good) < rows.count:
            rows = pick_rows(rows, good)
        return EncodedBlock(good, features(self._manifest, rows, self.others) if good else None, faults)

    @cached_property
    def _parts(self) -> list[ModelManifest]:
        """The manifest with each column alone. A search within one column costs the others nothing."""
        return [_part_of(self._manifest, column) for column in self._manifest.columns]


def find_refused(rows: Sequence[int], check: Callable[[Sequence[int]], object]) -> dict[int, str]:
    """Find each row that a check refuses: the rows are halved until a refused row stands alone.

    Args:
        rows: the numbers of the rows.
        check: raises InvalidInput if one of the rows that it is given is wrong.

    Returns:
        For each refused row, the message of its error.
    """
    if not rows:
        return {}
    try:
        check(rows)
    except InvalidInput as error:
        if len(rows) == 1:
            return {rows[0]: str(error)}
        half = len(rows) // 2
        return find_refused(rows[:half], check) | find_refused(rows[half:], check)
    return {}


def _check(part: ModelManifest, rows: TableRows, chosen: Sequence[int]) -> None:
    names = [column.name for column in part.columns]
    features(part, pick_rows(rows, chosen, names))


def _part_of(manifest: ModelManifest, column: Column) -> ModelManifest:
    part = ModelManifest()
    part.CopyFrom(manifest)
    del part.columns[:], part.features[:]
    part.columns.append(column)
    part.features.extend(feature for feature in manifest.features if feature.column == column.name)
    return part
