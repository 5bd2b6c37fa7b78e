"""How many bulk rows a batch may hold, by the time that rows took and the last interactive request."""

import pytest

from service.batching.pace import Pace


def test_bulk_batches_are_short_while_interactive_requests_arrive() -> None:
    """Rows of 20 µs: 50 of them in a millisecond; all there is room for once a second has passed."""
    pace = Pace(max_batch_rows=1024)
    pace.note(100, 0.002)
    assert pace.row_seconds() == pytest.approx(20e-6)
    assert pace.max_bulk_rows(now=5.0) == 1024
    pace.interactive_arrived = 5.0
    assert pace.max_bulk_rows(now=5.5) == 50
    assert pace.max_bulk_rows(now=6.5) == 1024


def test_slow_rows_leave_bulk_its_least_and_unknown_ones_all() -> None:
    """32 rows however slow they are, but no more than a batch takes; before the first run nothing is known."""
    pace = Pace(max_batch_rows=1024)
    pace.interactive_arrived = 5.0
    assert (pace.row_seconds(), pace.max_bulk_rows(now=5.0)) == (0.0, 1024)
    pace.note(1, 1.0)
    assert pace.max_bulk_rows(now=5.0) == 32
    small = Pace(max_batch_rows=8)
    small.interactive_arrived = 5.0
    small.note(1, 1.0)
    assert small.max_bulk_rows(now=5.0) == 8
