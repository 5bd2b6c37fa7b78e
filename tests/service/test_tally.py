"""Tallies against numpy's own histogram, and read while they are written."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tally import Tally, sorted_into

BOUNDS = (1.0, 2.0, 4.0)


@given(st.lists(st.floats(-10, 10) | st.sampled_from(BOUNDS), max_size=3000))
def test_each_number_is_in_the_first_bucket_that_holds_it(numbers: list[float]) -> None:
    """A bound belongs to its bucket, as Prometheus wants it, however many numbers came before the reading."""
    tally = Tally(BOUNDS)
    for number in numbers:
        tally.note(number)
    reading = tally.read()
    up_to = [sum(number <= bound for number in numbers) for bound in (*BOUNDS, np.inf)]
    assert reading.counts.cumsum().tolist() == up_to
    assert reading.count == len(numbers)
    assert reading.total == pytest.approx(sum(numbers), abs=1e-9)


def test_a_reading_stays_as_it_is() -> None:
    """What is noted later is in the next reading only; readings of the same buckets add up."""
    tally = Tally(BOUNDS)
    tally.note(1.5)
    before = tally.read()
    tally.note(9)
    after = tally.read()
    assert (before.counts.tolist(), before.total) == ([0, 1, 0, 0], 1.5)
    assert (after.counts.tolist(), after.total) == ([0, 1, 0, 1], 10.5)
    both = before.plus(after)
    assert (both.counts.tolist(), both.total) == ([0, 2, 0, 1], 12.0)


def test_numbers_that_came_many_times_are_sorted_the_same_way() -> None:
    """Counted before they come: as if each had been noted so often."""
    reading = sorted_into(BOUNDS, [1, 2, 3, 64], [5, 1, 2, 1])
    assert reading.counts.tolist() == [5, 1, 2, 1]
    assert reading.total == 5 + 2 + 6 + 64
    assert sorted_into(BOUNDS, [], []).count == 0


def test_nothing_is_lost_or_doubled_between_threads() -> None:
    """Readers in another thread while numbers come: counts never fall, and in the end every number is there once."""
    tally, done = Tally(BOUNDS), threading.Event()
    counts: list[int] = []

    def read() -> None:
        while not done.is_set():
            counts.append(tally.read().count)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(20_000):
        tally.note(3.0)
    done.set()
    for reader in readers:
        reader.join()
    reading = tally.read()
    assert (reading.count, reading.total) == (20_000, 60_000.0)
    assert max(counts, default=0) <= 20_000
