"""The good rows of a block, against each row encoded alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kan_api.v1.manifest_pb2 import Column, Feature, ModelManifest
from service.client.command.reading.file_block import FileBlock, pick_rows
from service.client.command.row_encoder import RowEncoder, find_refused
from service.client.encoding.rows import Matrix, features
from service.client.encoding.table_rows import TableRows
from service.client.errors import InvalidInput

MANIFEST = ModelManifest(
    columns=[Column(name="age"), Column(name="colour", categories=["red", "blue"]), Column(name="dose")],
    features=[
        Feature(name="age", column="age", imputed=40.0),
        Feature(name="colour=red", column="colour", category="red"),
        Feature(name="colour=blue", column="colour", category="blue"),
        Feature(name="dose", column="dose"),
    ],
)
NUMBERS = st.sampled_from(["1", "", "2.5", "x", "1e39", "inf", "nan"])
WORDS = st.sampled_from(["red", "blue", "green", ""])


def block_of(rows: list[tuple[object, object, object]], faults: dict[int, str]) -> FileBlock:
    """A block of rows (age, colour, dose)."""
    columns = {name: [row[place] for row in rows] for place, name in enumerate(("age", "colour", "dose"))}
    return FileBlock(TableRows(columns, len(rows), lambda row: f"row {row + 1}"), faults)


def encode_alone(block: FileBlock, row: int) -> Matrix | str:
    """The features of one row, or what is wrong with it."""
    try:
        return features(MANIFEST, pick_rows(block.rows, [row]))
    except InvalidInput as error:
        return str(error)


@given(st.lists(st.tuples(NUMBERS, WORDS, NUMBERS), min_size=1, max_size=40), st.sets(st.integers(0, 39)))
def test_each_row_fares_as_if_it_stood_alone(rows: list[tuple[object, object, object]], unread: set[int]) -> None:
    """A good row is encoded, and a bad row has the message that it would have alone. The order holds."""
    block = block_of(rows, {row: "unread" for row in unread if row < len(rows)})
    encoded = RowEncoder(MANIFEST).encode_good(block)
    matrix: Iterator[Any] = iter([] if encoded.matrix is None else encoded.matrix)
    for row in range(len(rows)):
        if row in block.faults:
            assert encoded.faults[row] == "unread"
            continue
        alone = encode_alone(block, row)
        if isinstance(alone, str):
            assert encoded.faults[row] == alone
            assert alone.startswith(f"row {row + 1}: ")
        else:
            assert row not in encoded.faults
            np.testing.assert_array_equal(next(matrix), alone[0])
    assert list(encoded.good) == [row for row in range(len(rows)) if row not in encoded.faults]
    assert next(matrix, None) is None


def test_a_strict_block_is_refused_at_its_first_fault() -> None:
    """Rows that cannot be read come first, then cells."""
    good, bad = ("1", "red", "1"), ("1", "red", "x")
    with pytest.raises(InvalidInput, match=r"row 2: column .dose. holds"):
        RowEncoder(MANIFEST).encode(block_of([good, bad], {}))
    with pytest.raises(InvalidInput, match="unread"):
        RowEncoder(MANIFEST).encode(block_of([bad, good], {1: "unread"}))


@given(st.sets(st.integers(0, 63)), st.integers(0, 64))
def test_refused_rows_are_found_in_few_checks(bad: set[int], count: int) -> None:
    """Each with its own message. One bad row of n takes about 2 log2(n) checks."""
    checks = 0

    def check(rows: object) -> None:
        nonlocal checks
        checks += 1
        for row in rows:  # type: ignore[attr-defined]
            if row in bad:
                raise InvalidInput(f"bad {row}")

    found = find_refused(range(count), check)
    assert found == {row: f"bad {row}" for row in bad if row < count}
    assert checks <= 1 + 2 * 6 * len(found)
