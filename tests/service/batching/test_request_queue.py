"""The two priorities of the queue: which rows are taken when, and which rows may fill the queue."""

import asyncio
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from service.batching.request import Part, Request
from service.batching.request_queue import RequestQueue
from service.errors import DeadlineExceeded, Draining, Overloaded
from service.metrics.metrics import Metrics
from service.metrics.model_metrics import ModelMetrics

NOW = 100.0


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that does not run: futures need one."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def metrics() -> ModelMetrics:
    """The observer of the queue."""
    return Metrics().model("digits", "1")


def _request(
    loop: asyncio.AbstractEventLoop, rows: int, *, bulk: bool = False, deadline: float | None = None, width: int = 2
) -> Request:
    return Request(np.zeros((rows, width), np.float32), deadline, NOW, loop.create_future(), bulk)


def _rows(batch: list[Part]) -> list[tuple[bool, int]]:
    """Kind and number of rows of each part."""
    return [(request.bulk, stop - start) for request, start, stop in batch]


def test_bulk_fills_what_interactive_requests_leave(loop: asyncio.AbstractEventLoop, metrics: ModelMetrics) -> None:
    """Interactive rows come first, whatever their arrival. If a batch has room, bulk rows fill it."""
    queue = RequestQueue(100, metrics)
    for rows, bulk in ((3, True), (2, False), (4, True), (1, False)):
        queue.put(_request(loop, rows, bulk=bulk))
    assert _rows(queue.take(8, NOW)) == [(False, 2), (False, 1), (True, 3), (True, 2)]
    assert _rows(queue.take(8, NOW)) == [(True, 2)]
    assert not queue
    assert (queue.rows, metrics.queue_rows) == (0, 0)


def test_every_fourth_batch_takes_bulk_rows_first(loop: asyncio.AbstractEventLoop, metrics: ModelMetrics) -> None:
    """Under endless interactive requests, bulk rows get a quarter of the batches, the oldest first."""
    queue = RequestQueue(1000, metrics)
    old, new = _request(loop, 3, bulk=True), _request(loop, 3, bulk=True)
    for request in (old, new, *(_request(loop, 4) for _ in range(20))):
        queue.put(request)
    batches = [queue.take(2, NOW) for _ in range(12)]
    assert [number for number, batch in enumerate(batches, 1) if batch[0].request.bulk] == [4, 8, 12]
    assert batches[3] == [Part(old, 0, 2)]
    assert batches[7] == [Part(old, 2, 3), Part(new, 0, 1)]
    assert batches[11] == [Part(new, 1, 3)]


def test_without_bulk_no_batch_is_another(loop: asyncio.AbstractEventLoop, metrics: ModelMetrics) -> None:
    """Without waiting bulk rows the fourth batch is full too."""
    queue = RequestQueue(1000, metrics)
    for _ in range(8):
        queue.put(_request(loop, 1))
    assert [_rows(queue.take(2, NOW)) for _ in range(4)] == [[(False, 1)] * 2] * 4


def test_bulk_rows_leave_half_of_the_queue_to_others(loop: asyncio.AbstractEventLoop, metrics: ModelMetrics) -> None:
    """Above half of the bound, bulk rows are refused and interactive ones are not. A cancelled request makes room."""
    queue = RequestQueue(160, metrics)
    leaver, *_ = first = [_request(loop, 10, bulk=True) for _ in range(8)]
    for request in first:
        queue.put(request)
    with pytest.raises(Overloaded, match="bound of 80") as caught:
        queue.put(_request(loop, 10, bulk=True), row_seconds=0.5)
    assert caught.value.retry_after_seconds == 40
    queue.discard(leaver, "cancelled")
    for rows, bulk in ((6, True), (4, True), (80, False)):
        queue.put(_request(loop, rows, bulk=bulk))
    with pytest.raises(Overloaded, match="bound of 160"):
        queue.put(_request(loop, 1))
    while queue:
        queue.take(4, NOW)
    queue.put(_request(loop, 80, bulk=True))
    assert metrics.rejections == {**dict.fromkeys(metrics.rejections, 0), "overload": 2, "cancelled": 1}


def test_a_long_bulk_request_waits_beside_short_ones(loop: asyncio.AbstractEventLoop, metrics: ModelMetrics) -> None:
    """It needs as much room as a short one, one at a time, and takes none from interactive requests."""
    queue = RequestQueue(160, metrics)
    for _ in range(7):
        queue.put(_request(loop, 10, bulk=True))
    queue.put(_request(loop, 60, bulk=True))
    other = _request(loop, 10)
    queue.put(other)
    queue.discard(other, "cancelled")  # the end of another request changes nothing
    for rows in (60, 1):
        with pytest.raises(Overloaded, match="130 bulk"):
            queue.put(_request(loop, rows, bulk=True))
    queue.put(_request(loop, 80))
    with pytest.raises(Overloaded, match="bound of 160"):
        queue.put(_request(loop, 1))
    while queue:
        queue.take(50, NOW)
    assert (queue.rows, metrics.queue_rows) == (0, 0)
    for _ in range(2):
        queue.put(_request(loop, 60, bulk=True))
        queue.take(60, NOW)
        assert not queue


def test_one_long_bulk_request_at_a_time_counts_in_part(loop: asyncio.AbstractEventLoop, metrics: ModelMetrics) -> None:
    """The next long one counts in full while the first waits."""
    queue = RequestQueue(160, metrics)
    for _ in range(2):
        queue.put(_request(loop, 50, bulk=True))
    with pytest.raises(Overloaded, match="100 bulk rows"):
        queue.put(_request(loop, 50, bulk=True))


def test_of_a_long_bulk_request_the_waiting_rows_count(loop: asyncio.AbstractEventLoop, metrics: ModelMetrics) -> None:
    """With 5 of its 60 rows left it counts as 5: no less, or short ones would find too much room, and no more."""
    queue = RequestQueue(160, metrics)
    queue.put(_request(loop, 60, bulk=True))
    queue.take(55, NOW)
    for rows in (*[10] * 7, 5):
        queue.put(_request(loop, rows, bulk=True))
    with pytest.raises(Overloaded, match="80 bulk rows"):
        queue.put(_request(loop, 1, bulk=True))


def test_in_a_small_queue_a_long_bulk_request_counts_as_one_row(
    loop: asyncio.AbstractEventLoop, metrics: ModelMetrics
) -> None:
    """A sixteenth of 8 rows is less than a row, yet it takes some room beside short ones."""
    queue = RequestQueue(8, metrics)
    for rows in (4, 1, 1, 1):
        queue.put(_request(loop, rows, bulk=True))
    with pytest.raises(Overloaded, match="7 bulk rows"):
        queue.put(_request(loop, 1, bulk=True))


@pytest.mark.parametrize("leaves", [False, True])
def test_the_rows_of_a_long_bulk_request_are_freed_with_it(
    loop: asyncio.AbstractEventLoop, metrics: ModelMetrics, leaves: bool
) -> None:
    """The queue keeps no rows of a request that was taken or that left."""
    queue = RequestQueue(64, metrics)
    request = _request(loop, 32, bulk=True)
    rows = weakref.ref(request.rows)
    queue.put(request)
    if leaves:
        queue.discard(request, "cancelled")
    else:
        queue.take(16, NOW)
        queue.take(16, NOW)
    del request
    assert rows() is None


def test_a_batch_takes_no_more_bulk_rows_than_it_may(loop: asyncio.AbstractEventLoop, metrics: ModelMetrics) -> None:
    """It takes at most that many, whether bulk rows come first or last. Interactive rows fill the rest."""
    queue = RequestQueue(1000, metrics)
    queue.put(_request(loop, 6, bulk=True))
    for _ in range(6):
        queue.put(_request(loop, 5))
    batches = [_rows(queue.take(8, NOW, 2)) for _ in range(6)]
    assert batches[3:] == [[(True, 2), (False, 1), (False, 5)], [(True, 2)], [(True, 2)]]
    assert not any(is_bulk for batch in batches[:3] for is_bulk, _ in batch)


def test_few_bulk_rows_follow_interactive_ones(loop: asyncio.AbstractEventLoop, metrics: ModelMetrics) -> None:
    """With a bound, they get a quarter of the rows of a bulk batch: an interactive caller waits for this batch.

    One row is the least.
    """
    queue = RequestQueue(1000, metrics)
    queue.put(_request(loop, 100, bulk=True))
    queue.put(_request(loop, 3))
    assert _rows(queue.take(50, NOW, 20)) == [(False, 3), (True, 5)]
    assert _rows(queue.take(50, NOW, 20)) == [(True, 20)]
    queue.put(_request(loop, 3))
    assert _rows(queue.take(50, NOW, 3)) == [(False, 3), (True, 1)]


@pytest.mark.parametrize("rows", [10, 1])
def test_a_bulk_request_alone_may_fill_the_queue(
    loop: asyncio.AbstractEventLoop, metrics: ModelMetrics, rows: int
) -> None:
    """The largest request that the server takes is not refused for ever because it is bulk."""
    queue = RequestQueue(rows, metrics)
    queue.put(_request(loop, rows, bulk=True))
    with pytest.raises(Overloaded, match=f"{rows} .*rows wait"):
        queue.put(_request(loop, 1, bulk=True))
    assert queue.rows == rows


def test_late_and_cancelled_bulk_requests_are_not_taken(loop: asyncio.AbstractEventLoop, metrics: ModelMetrics) -> None:
    """Deadlines and cancellation hold for both kinds."""
    queue = RequestQueue(100, metrics)
    late, gone, good = _request(loop, 2, bulk=True, deadline=NOW + 1), _request(loop, 2, bulk=True), _request(loop, 1)
    for request in (late, gone, good):
        queue.put(request)
    gone.future.cancel()
    assert queue.take(8, NOW + 1) == [Part(good, 0, 1)]
    assert isinstance(late.future.exception(), DeadlineExceeded)
    assert not queue


def test_a_late_request_is_told_how_many_rows_were_not_run(
    loop: asyncio.AbstractEventLoop, metrics: ModelMetrics
) -> None:
    """Only those: the first rows of a large request may have been run before."""
    queue = RequestQueue(100, metrics)
    late = _request(loop, 5, deadline=NOW + 1)
    queue.put(late)
    queue.take(2, NOW)
    assert queue.take(2, NOW + 1) == []
    assert "3 rows" in str(late.future.exception())


def test_bulk_rows_of_another_width_wait_for_a_batch_of_their_own(
    loop: asyncio.AbstractEventLoop, metrics: ModelMetrics
) -> None:
    """A batch has rows of one width, of whichever kind."""
    queue = RequestQueue(100, metrics)
    for request in (_request(loop, 1, bulk=True, width=3), _request(loop, 1), _request(loop, 1, bulk=True)):
        queue.put(request)
    assert [_rows(queue.take(8, NOW)) for _ in range(3)] == [[(False, 1)], [(True, 1)], [(True, 1)]]


def test_why_a_caller_has_gone(loop: asyncio.AbstractEventLoop, metrics: ModelMetrics) -> None:
    """A caller that leaves at its deadline is counted as late, and one that leaves before as cancelled."""
    queue = RequestQueue(100, metrics)
    requests = [_request(loop, 1, deadline=deadline) for deadline in (NOW + 5, NOW + 5, None)]
    for request, moment in zip(requests, (NOW + 4, NOW + 4.999, NOW + 9), strict=True):
        queue.put(request)
        queue.leave(request, moment)
    assert (metrics.rejections["deadline"], metrics.rejections["cancelled"], queue.rows) == (1, 2, 0)


def test_all_are_dropped_at_the_stop(loop: asyncio.AbstractEventLoop, metrics: ModelMetrics) -> None:
    """Each caller is told that the server stops."""
    queue = RequestQueue(100, metrics)
    requests = [_request(loop, 1, bulk=bulk) for bulk in (True, False)]
    for request in requests:
        queue.put(request)
    queue.drop_all()
    assert all(isinstance(request.future.exception(), Draining) for request in requests)
    assert (metrics.rejections["draining"], bool(queue)) == (2, False)
