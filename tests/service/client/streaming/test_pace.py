"""Waits, and rows a request, of a caller that a full server refuses."""

import pytest

from service.client.connection import Deadline
from service.client.errors import Overloaded
from service.client.streaming.pace import Pace


def refusal(retry_after_seconds: float | None) -> Overloaded:
    """An error with the time of the next try."""
    error = Overloaded("full")
    error.retry_after_seconds = retry_after_seconds
    return error


def test_waits_grow_and_are_never_shorter_than_told() -> None:
    """They double with each refusal in a row up to a bound, vary at random, and begin anew after an answer."""
    pace = Pace(512)
    waits = [pace.count_refusal(refusal(0.01)).seconds for _ in range(12)]
    assert 0.025 <= waits[0] <= 0.0375
    assert all(0.025 * 2**number <= wait <= 0.0375 * 2**number for number, wait in enumerate(waits[:8]))
    assert all(5 <= wait <= 7.5 for wait in waits[8:])
    assert len(set(waits[8:])) > 1
    pace.count_answer()
    assert pace.count_refusal(refusal(0.01)).seconds <= 0.0375
    assert 3 <= pace.count_refusal(refusal(3.0)).seconds <= 4.5


def test_rows_are_halved_by_refusals_and_grow_with_answers() -> None:
    """Never below a sixteenth, nor below one row, and never above the most."""
    pace, seen = Pace(512), []
    for _ in range(6):
        pace.count_refusal(refusal(0.01))
        seen.append(pace.rows)
    assert seen == [256, 128, 64, 32, 32, 32]
    for _ in range(100):
        before = pace.rows
        pace.count_answer()
        assert pace.rows == min(512, before + 64)
    few = Pace(1)
    few.count_refusal(refusal(0.01))
    assert few.rows == 1
    few.count_answer()
    assert few.rows == 1


def test_a_refusal_without_a_time_is_final() -> None:
    """A message that is too large once would be too large again."""
    error = refusal(None)
    with pytest.raises(Overloaded) as raised:
        Pace(512).count_refusal(error)
    assert raised.value is error


def test_a_wait_leaves_time_for_the_call() -> None:
    """The wait is cut to the deadline.

    If room comes only after the deadline, or retries are off, the error is raised.
    """
    pace = Pace(512)
    for _ in range(8):
        pause = pace.count_refusal(refusal(0.01))
    assert 0 < pause.within(Deadline.after(1.0), repeats=True) <= 0.8
    assert pause.within(Deadline.after(1e6), repeats=True) == pause.seconds
    for deadline, repeats in ((Deadline.after(0.01), True), (Deadline.after(1e6), False)):
        with pytest.raises(Overloaded, match="full"):
            pause.within(deadline, repeats)
