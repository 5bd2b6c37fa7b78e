from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import Column, ModelManifest
from kan_api.v1.prediction_pb2 import Matrix
from service.errors import InvalidRequest
from service.metrics.metrics import Metrics
from service.protocols.prediction_codec import decode_matrix, encode_matrix
from service.registry.model.live_model import LiveModel, load
from service.repository.disk import read_version
from service.settings import Settings
from tests.kit.models.repository import WriteModel

_MOST_ROWS = 8
_ROWS = np.array([[1, 2, 3, 4], [-5, 0.5, 0, 1e30]], np.float32)


@pytest.fixture
def imputing(models: Path, write_model: WriteModel) -> LiveModel:
    """Two features, both imputed."""
    write_model("imputed")
    return load(read_version(models, "imputed", 1), Settings(models=models), Metrics())


def _matrix(values: NDArray[np.float32], *, raw: bool) -> Matrix:
    matrix = Matrix()
    encode_matrix(matrix, values, raw=raw)
    return matrix


def test_both_forms_of_a_matrix_are_the_same_rows(model: LiveModel) -> None:
    """Raw bytes and listed values decode to the rows they were made from."""
    for raw in (True, False):
        decoded = decode_matrix(_matrix(_ROWS, raw=raw), model, _MOST_ROWS)
        assert decoded.dtype == np.float32
        np.testing.assert_array_equal(decoded, _ROWS)


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5)), st.booleans())
def test_encoding_keeps_every_bit(values: NDArray[np.float32], raw: bool) -> None:
    """The output of a model arrives unchanged, also NaN and infinities."""
    matrix = _matrix(values, raw=raw)
    back = np.frombuffer(matrix.raw, "<f4") if raw else np.array(matrix.values, np.float32)
    np.testing.assert_array_equal(back.reshape(matrix.rows, matrix.columns), values)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (Matrix(), "features has 0 columns; model 'affine' wants 4"),
        (Matrix(rows=1, columns=3, values=[1, 2, 3]), "features has 3 columns; model 'affine' wants 4"),
        (Matrix(rows=0, columns=4), "features has 0 rows; wanted 1 to 8"),
        (Matrix(rows=-1, columns=4), "features has -1 rows; wanted 1 to 8"),
        (Matrix(rows=9, columns=4, raw=bytes(144)), "features has 9 rows; wanted 1 to 8"),
        (Matrix(rows=2**62, columns=4), "features has 4611686018427387904 rows"),
        (Matrix(rows=1, columns=-4), "features has -4 columns"),
        (Matrix(rows=1, columns=4), r"features.raw: 0 bytes came; wanted 16 \(1 rows of 4, 4 bytes each\)"),
        (Matrix(rows=2, columns=4, raw=bytes(16)), "features.raw: 16 bytes came; wanted 32"),
        (Matrix(rows=1, columns=4, raw=bytes(17)), "features.raw: 17 bytes came; wanted 16"),
        (Matrix(rows=1, columns=4, values=[1]), "features.values holds 1 numbers; wanted 4"),
        (Matrix(rows=1, columns=4, raw=bytes(16), values=[0] * 4), "both raw and values"),
        (
            Matrix(rows=1, columns=4, values=[0, 1, float("inf"), 0]),
            r"row 0, column 2 \('x2'\) is inf; wanted a finite",
        ),
        (Matrix(rows=1, columns=4, values=[0, 1, 2, float("-inf")]), r"row 0, column 3 \('x3'\) is -inf"),
        (Matrix(rows=2, columns=4, values=[0] * 5 + [float("nan"), 0, 0]), r"row 1, column 1 \('x1'\) is nan"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(model: LiveModel, matrix: Matrix, message: str) -> None:
    """Each refusal names the field, what came and what was wanted.

    This table is the one place that pins these messages.
    """
    with pytest.raises(InvalidRequest, match=message):
        decode_matrix(matrix, model, _MOST_ROWS)


def test_numbers_for_a_model_with_words_are_told_how_its_rows_are_sent(
    model: LiveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two numbers of columns alone would not say why a row of two cells has to be four numbers."""
    manifest = ModelManifest(
        columns=[Column(name="age"), Column(name="colour", categories=["red", "blue", "green"])],
        features=model.manifest.features,
    )
    monkeypatch.setattr(model, "manifest", manifest)
    told = r'wants 4; its columns of words or dates \("colour"\) are encoded as numbers: .* dicts by column name'
    with pytest.raises(InvalidRequest, match=told):
        decode_matrix(Matrix(rows=1, columns=2, values=[1, 2]), model, _MOST_ROWS)


def test_nan_is_a_missing_value_where_the_model_imputes(imputing: LiveModel) -> None:
    """NaN is allowed if the manifest has a value for it; infinity is not."""
    rows = np.array([[np.nan, 1], [2, np.nan]], np.float32)
    np.testing.assert_array_equal(decode_matrix(_matrix(rows, raw=True), imputing, _MOST_ROWS), rows)
    with pytest.raises(InvalidRequest, match="inf"):
        decode_matrix(Matrix(rows=1, columns=2, values=[np.nan, np.inf]), imputing, _MOST_ROWS)
