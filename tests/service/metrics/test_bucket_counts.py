"""Tallies against numpy's own histogram, and read while they are written."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.metrics.bucket_counts import BucketCounts, sorted_into

BOUNDS = (1.0, 2.0, 4.0)


@given(st.lists(st.floats(-10, 10) | st.sampled_from(BOUNDS), max_size=3000))
def test_each_number_is_in_the_first_bucket_that_holds_it(numbers: list[float]) -> None:
    """A bound belongs to its own bucket, as in Prometheus, for any count of numbers before the snapshot."""
    tally = BucketCounts(BOUNDS)
    for number in numbers:
        tally.note(number)
    reading = tally.read()
    up_to = [sum(number <= bound for number in numbers) for bound in (*BOUNDS, np.inf)]
    assert reading.counts.cumsum().tolist() == up_to
    assert reading.count == len(numbers)
    assert reading.total == pytest.approx(sum(numbers), abs=1e-9)


def test_a_reading_stays_as_it_is() -> None:
    """Later numbers are in the next snapshot only. Snapshots of the same buckets can be added."""
    tally = BucketCounts(BOUNDS)
    tally.note(1.5)
    before = tally.read()
    tally.note(9)
    after = tally.read()
    assert (before.counts.tolist(), before.total) == ([0, 1, 0, 0], 1.5)
    assert (after.counts.tolist(), after.total) == ([0, 1, 0, 1], 10.5)
    both = before.plus(after)
    assert (both.counts.tolist(), both.total) == ([0, 2, 0, 1], 12.0)


def test_numbers_that_came_many_times_are_sorted_the_same_way() -> None:
    """Numbers with counts give the same as each number recorded that often."""
    reading = sorted_into(BOUNDS, [1, 2, 3, 64], [5, 1, 2, 1])
    assert reading.counts.tolist() == [5, 1, 2, 1]
    assert reading.total == 5 + 2 + 6 + 64
    assert sorted_into(BOUNDS, [], []).count == 0


def test_nothing_is_lost_or_doubled_between_threads(quick_switches: None) -> None:
    """Other threads read while numbers are recorded: counts never fall, and at the end each number is there once."""
    tally, done, noted = BucketCounts(BOUNDS), threading.Event(), 0
    seen: tuple[list[int], list[int]] = ([0], [0])

    def read(counts: list[int]) -> None:
        while not done.is_set():
            count = tally.read().count
            if count != counts[-1]:
                counts.append(count)

    with ThreadPoolExecutor(len(seen)) as pool:
        readers = [pool.submit(read, counts) for counts in seen]
        try:
            # Until each has looked in between often enough, however fast this machine is.
            while min(map(len, seen)) < 50 and not any(reader.done() for reader in readers):
                tally.note(3.0)
                noted += 1
        finally:
            done.set()
        for reader in readers:
            reader.result()
    assert all(counts == sorted(counts) for counts in seen)
    reading = tally.read()
    assert (reading.count, reading.total) == (noted, 3.0 * noted)
    assert max(map(max, seen)) <= noted


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads take turns every 10 µs, so that one meets another within a reading."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_kept_numbers_count_and_are_bounded() -> None:
    """`keep` counts as `note` does; with `sort_when_many` after each, no more than 1024 numbers are kept."""
    tally = BucketCounts(BOUNDS)
    most = 0
    for _ in range(5000):
        tally.keep(1.5)
        tally.sort_when_many()
        most = max(most, len(tally._kept))
    assert most < 1024
    assert tally.read().counts.tolist() == [0, 5000, 0, 0]
