"""Cells with dates, as files and programs have them."""

import datetime

import numpy as np
import pandas as pd
import pytest

from kan_api.v1.manifest_pb2 import DateEncoding
from service.client.encoding.dates import encode_dates

ISO = DateEncoding(format="iso", first_day="2024-03-01")


@pytest.mark.parametrize(
    "cell",
    [
        "2024-03-05",
        "20240305",
        20240305,
        np.int64(20240305),
        20240305.0,
        datetime.date(2024, 3, 5),
        pd.Timestamp("2024-03-05"),
    ],
)
def test_one_date_has_the_same_numbers_however_it_comes(cell: object) -> None:
    """Four days after the first day of the training, in March, on a Tuesday."""
    block, fault = encode_dates(ISO, [cell])
    assert fault is None
    assert block.tolist() == [[4.0, 3.0, 2.0]]


@pytest.mark.parametrize("cell", ["soon", True, 7, 20241301, 3.5, b"2024-03-05"])
def test_a_cell_that_is_no_date_is_named_by_its_row(cell: object) -> None:
    """Also a truth value, which is a whole number to Python."""
    assert encode_dates(ISO, ["2024-03-05", cell])[1] == 1


@pytest.mark.parametrize("cell", ["", None, float("nan"), pd.NaT])
def test_a_missing_date_is_nan(cell: object) -> None:
    """The graph fills it in."""
    block, fault = encode_dates(ISO, [cell])
    assert fault is None
    assert np.isnan(block).all()
