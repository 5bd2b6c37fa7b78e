"""Dates are the moments that their formats say, or none."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kan_api.dates import FORMATS, date_numbers, is_iso, is_missing_date, read_date


@given(st.datetimes(datetime.datetime(1000, 1, 1)), st.sampled_from(FORMATS[1:]))
def test_a_date_is_read_as_it_is_written(moment: datetime.datetime, form: str) -> None:
    """In every format, as far as it tells the moment."""
    text = moment.strftime(form)
    found = read_date(f" {text} ", form)
    assert found is not None
    assert found.strftime(form) == text


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2024-03-05", 0),
        ("20240305", 0),
        ("2024-03-05 14:00", 14),
        ("2024-03-05T14:00:00Z", 14),
        ("2024-03-05T14+02:00", 12),
    ],
)
def test_iso_dates_are_moments_in_utc(text: str, hour: int) -> None:
    """With and without a clock and a zone."""
    assert read_date(text, "iso") == datetime.datetime(2024, 3, 5, hour)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("soon", "iso"),
        ("", "iso"),
        ("2024-02-30", "iso"),
        ("31/12/2024", "%m/%d/%Y"),
        ("9999-12-31T23:00-05:00", "iso"),
    ],
)
def test_what_is_no_date_of_the_format_is_none(text: str, form: str) -> None:
    """Never an error, nor another date."""
    assert read_date(text, form) is None


def test_the_numbers_are_elapsed_days_month_and_weekday() -> None:
    """The calendar of the standard library; days before the first day are negative."""
    day = datetime.date(2024, 3, 1)
    assert date_numbers(datetime.datetime(2024, 3, 5, 12), day) == (4.5, 3.0, 2.0)
    assert date_numbers(datetime.datetime(2023, 12, 31), day) == (-61.0, 12.0, 7.0)


@pytest.mark.parametrize(
    ("cell", "missing"), [("", True), ("NaT", True), (" n/a ", True), ("none", False), ("2024", False)]
)
def test_missing_dates_are_told(cell: str, missing: bool) -> None:
    """As missing words are, and as pandas writes them."""
    assert is_missing_date(cell) == missing


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y%m%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"])
def test_formats_that_iso_reads_are_known(form: str) -> None:
    """So that a message can say so."""
    assert is_iso(form)


@pytest.mark.parametrize("form", ["iso", "%d.%m.%Y", "%Y-%m", "%x", "", "%H:%M"])
def test_other_formats_are_not_iso(form: str) -> None:
    """Among them the name of ISO itself."""
    assert not is_iso(form)
