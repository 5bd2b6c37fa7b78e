"""Cells as the float matrix that a model takes, held against the half that trains."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kan_api.v1.manifest_pb2 import Column, DateEncoding, Feature, ModelManifest
from service.client.encoding.other_words import OtherWords
from service.client.encoding.rows import features, matrix_of, rows_of
from service.client.encoding.table_rows import TableRows
from service.client.encoding.words import word_of
from service.client.errors import InvalidInput
from training.data import encoding as training_encoding
from training.data.table import Table
from training.errors import DataError

MANIFEST = ModelManifest(
    columns=[Column(name="age"), Column(name="colour", categories=["red", "blue"]), Column(name="dose")],
    features=[
        Feature(name="age", column="age", imputed=40.0),
        Feature(name="colour=red", column="colour", category="red"),
        Feature(name="colour=blue", column="colour", category="blue"),
        Feature(name="dose", column="dose"),
    ],
)


def encode(*records: dict[str, object]) -> list[list[float]]:
    """The encoded records, as lists."""
    rows = rows_of(records, [column.name for column in MANIFEST.columns])
    matrix = features(MANIFEST, rows)
    assert matrix.dtype == np.float32
    return [[float(value) for value in row] for row in matrix]


def column_rows(cells: Sequence[object]) -> TableRows:
    """One column, c."""
    return TableRows({"c": cells}, len(cells), lambda row: f"rows[{row}]")


def test_columns_are_taken_by_name_and_words_become_zero_and_one() -> None:
    """The order of the keys does not matter. Features have the order of the manifest."""
    got = encode(
        {"dose": 2, "colour": "blue", "age": "7"}, {"age": 1.5, "extra": object(), "colour": "red", "dose": "0"}
    )
    assert got == [[7.0, 0.0, 1.0, 2.0], [1.5, 1.0, 0.0, 0.0]]


@pytest.mark.parametrize("cell", [None, "", " NA ", "none", "?", math.nan, "nan", np.float32("nan")])
def test_a_missing_number_is_nan_where_the_model_imputes_and_else_an_error(cell: object) -> None:
    """Every spelling of nothing is treated alike."""
    assert math.isnan(encode({"age": cell, "colour": "red", "dose": 1})[0][0])
    with pytest.raises(InvalidInput, match=r'rows\[0\]: .*"dose" holds no value'):
        encode({"age": 1, "colour": "red", "dose": cell})


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("green", r'holds "green", wanted one of "red", "blue"'),
        (" red", r'holds " red", wanted one of'),
        ("NA", r'holds no word \("NA"\), wanted one of'),
        (None, r"holds no word \(None\), wanted one of"),
        ([], r"holds \[\], wanted one of"),
    ],
)
def test_an_unknown_word_is_named_with_the_known_ones(cell: object, wanted: str) -> None:
    """Row, column, word and what was wanted are in the message.

    This table is the one place that pins these messages.
    """
    with pytest.raises(InvalidInput, match=r'rows\[0\]: column "colour" ' + wanted):
        encode({"age": 1, "colour": cell, "dose": 1})


@pytest.mark.parametrize(
    ("cell", "known", "word"),
    [
        (3, ("3",), "3"),
        (3.0, ("3",), "3"),
        (3, ("3.0",), "3.0"),
        (2.5, ("2.5",), "2.5"),
        (True, ("True", "False"), "True"),
        (False, ("true", "false"), "false"),
        (None, ("",), ""),
        ("NA", ("NA",), "NA"),
        ("na", ("NA",), ""),
        ("None", ("a",), "None"),
        (b"x", ("x",), None),
    ],
)
def test_a_value_is_found_among_the_words_however_json_spells_it(
    cell: object, known: tuple[str, ...], word: str | None
) -> None:
    """Numbers and booleans match the words that a table has for them; a known word is never missing."""
    assert word_of(cell, known) == word


def test_a_missing_word_is_the_empty_word_where_the_model_knows_it() -> None:
    """The empty category takes every spelling of nothing."""
    manifest = ModelManifest(
        columns=[Column(name="c", categories=["", "x"])],
        features=[Feature(name="c=", column="c", category=""), Feature(name="c=x", column="c", category="x")],
    )
    assert features(manifest, column_rows(["n/a", "x", None, ""])).tolist() == [[1, 0], [0, 1], [1, 0], [1, 0]]


def test_a_word_that_is_other_has_no_input_and_is_counted() -> None:
    """Unknown words and missing cells are zeros where the column says so; what is no word stays an error."""
    manifest = ModelManifest()
    manifest.CopyFrom(MANIFEST)
    manifest.columns[1].unseen_is_other = True
    cells: list[object] = ["red", "green", None, "blue", 7]
    rows = TableRows({"age": [1] * 5, "colour": cells, "dose": [2] * 5}, 5, lambda row: f"rows[{row}]")
    others = OtherWords()
    assert features(manifest, rows, others)[:, 1:3].tolist() == [[1, 0], [0, 0], [0, 0], [0, 1], [0, 0]]
    assert others.cells == 3
    bad = TableRows({"age": [1, 1], "colour": ["x", []], "dose": [2, 2]}, 2, lambda row: f"rows[{row}]")
    with pytest.raises(InvalidInput, match=r"rows\[1\].*holds \[\], wanted one of"):
        features(manifest, bad, others)
    assert others.cells == 3


def test_missing_columns_are_all_listed() -> None:
    """One message names every absent column and what is there."""
    with pytest.raises(InvalidInput, match=r'rows\[1\] lacks .*"age", "dose"'):
        rows_of([{"age": 1, "colour": "red", "dose": 1}, {"colour": "red", "ages": 3}], ["age", "colour", "dose"])


def test_a_record_that_is_no_mapping_is_an_error() -> None:
    """A list among dicts is named by its place."""
    with pytest.raises(InvalidInput, match=r"rows\[1\] is a list"):
        rows_of([{"a": 1}, [1]], ["a"])


def test_numbers_become_float32_and_one_row_may_be_flat() -> None:
    """Lists, integers, booleans and float64 are taken; one dimension is one row."""
    assert matrix_of([1, 2, 3]).shape == (1, 3)
    assert matrix_of([[True, False]]).tolist() == [[1.0, 0.0]]
    assert matrix_of(np.arange(6, dtype=np.float64).reshape(2, 3)).dtype == np.float32
    assert np.isnan(matrix_of([[np.nan]])).all()


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([], r"got shape \[0\]"),
        (np.zeros((0, 4)), r"got shape \[0, 4\]"),
        (np.zeros((2, 0)), r"got shape \[2, 0\]"),
        (np.zeros((1, 2, 3)), r"got shape \[1, 2, 3\]; an image is a row of its pixels"),
        (5.0, r"got shape \[\]"),
        ([[1, 2], [3]], "not all of one length"),
        ([["a", "b"]], "as dicts by column name"),
        ([[1, None]], "got an array of object"),
        ([[1j]], "got an array of complex128"),
        ([[1.0], [np.inf]], r"rows\[1\] holds inf as feature 0"),
        ([[0.0, -1e39]], r"rows\[0\] holds -1e\+39 as feature 1"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(rows: object, wanted: str) -> None:
    """Each message says what came."""
    with pytest.raises(InvalidInput, match=wanted):
        matrix_of(rows)  # type: ignore[arg-type]


TEXTS = st.one_of(
    st.sampled_from(["", " ", "NA", " na ", "n/a", "None", "none", "NULL", "?", "-", "--", ".", "red", "1", "1.0"]),
    st.sampled_from(["1_0", "inf", "-nan", "1e39", "3.4028235e38", "3.4028236e38", "0x1", "1,5", "١٢", "+.5", " 7 "]),
    st.floats(allow_nan=False).map(repr),
    st.text(max_size=4),
)


@given(
    st.lists(TEXTS, min_size=1, max_size=6),
    st.one_of(st.just([]), st.lists(TEXTS, min_size=1, max_size=4, unique=True)),
    st.booleans(),
)
def test_every_cell_is_read_as_in_training(cells: list[str], categories: list[str], other: bool) -> None:
    """The same matrix, or an error on both sides; a missing word, which training leaves out, is an error here."""
    words = tuple(categories)
    table = Table("t.csv", {"c": np.array(cells, dtype=object)}, len(cells))
    manifest = ModelManifest(
        columns=[Column(name="c", categories=words, unseen_is_other=other)],
        features=[Feature(name=f"c={word}", column="c", category=word) for word in words]
        or [Feature(name="c", column="c", imputed=0.0)],
    )
    try:
        column = training_encoding.Column("c", words, other and bool(words))
        wanted = training_encoding.feature_block(table, column).astype(np.float32)
        agreed = not (words and np.isnan(wanted).any())
    except DataError:
        agreed = False
    if agreed:
        np.testing.assert_array_equal(features(manifest, column_rows(cells)), wanted)
    else:
        with pytest.raises(InvalidInput):
            features(manifest, column_rows(cells))


def test_a_word_among_dates_is_refused_with_a_date_to_follow() -> None:
    """The format's name, "iso", would tell a caller less than a date that is written in it."""
    places = {f"sold: {part}": Feature(name=f"sold: {part}", column="sold", imputed=1) for part in ("days", "month")}
    sold = Column(name="sold", date=DateEncoding(format="iso", first_day="2024-01-01"))
    manifest = ModelManifest(columns=[sold], features=places.values())
    with pytest.raises(
        InvalidInput, match=r'^rows\[1\]: column "sold" holds "soon", wanted a date such as 2024-01-31$'
    ):
        features(manifest, rows_of([{"sold": "2024-03-05"}, {"sold": "soon"}], ["sold"]))
