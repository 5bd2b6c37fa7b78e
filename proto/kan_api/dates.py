"""Dates in the cells of a table, as three numbers. kan-train and kan-client share the rule.

A date becomes the days since the first day of the training, with the time of the day as a fraction; its month, 1 to 12;
and its weekday, 1 (Monday) to 7. A date with a time zone is that moment, one without counts as UTC. For example,
2024-03-05T12:00 with the first day 2024-03-01 is 4.5, 3 and 2.
"""

import datetime

from kan_api.cells import MISSING_WORDS

PARTS = ("days", "month", "weekday")
ISO = "iso"
_CLOCKS = ("", " %H:%M", " %H:%M:%S")
# Of strptime, but for ISO 8601. The order matters where a date fits several; of the last two at most one may fit.
FORMATS = (
    ISO,
    "%Y-%m",
    *(f"%Y/%m/%d{clock}" for clock in _CLOCKS),
    *(f"%d.%m.%Y{clock}" for clock in _CLOCKS),
    "%d %b %Y",
    "%d-%b-%Y",
    *(f"{day}{clock}" for clock in _CLOCKS for day in ("%m/%d/%Y", "%d/%m/%Y")),
)
_DAY = datetime.timedelta(days=1)


def is_missing_date(text: str) -> bool:
    """Whether a cell has no date. pandas writes NaT for a missing one."""
    word = text.strip().lower()
    return word in MISSING_WORDS or word == "nat"


def read_date(text: str, form: str) -> datetime.datetime | None:
    """The moment in UTC, without a zone; None if the cell is no date of this format."""
    try:
        if form == ISO:
            moment = datetime.datetime.fromisoformat(text.strip())
        else:
            moment = datetime.datetime.strptime(text.strip(), form)
        return moment if moment.tzinfo is None else moment.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):  # in a time zone, the first and the last day may lie beyond the calendar
        return None


def is_iso(form: str) -> bool:
    """Whether ISO 8601 reads the dates that a format of strftime writes, such as %Y-%m-%d. "iso" is no such format."""
    moment = datetime.datetime(2021, 3, 4, 15, 16, 17)
    try:
        text = moment.strftime(form)
    except ValueError:
        return False
    read = read_date(text, ISO)
    return read is not None and read.date() == moment.date()


def date_numbers(moment: datetime.datetime, first_day: datetime.date) -> tuple[float, float, float]:
    """The numbers of a moment, in the order of PARTS."""
    first = datetime.datetime.combine(first_day, datetime.time())
    return (moment - first) / _DAY, float(moment.month), float(moment.isoweekday())
