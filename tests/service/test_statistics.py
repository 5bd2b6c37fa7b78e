import time

from service.statistics import Statistics


def test_sums_are_those_of_what_was_told() -> None:
    """Requests by outcome, runs by size; rows and runs follow from the sizes."""
    statistics = Statistics()
    assert (statistics.rows, statistics.runs, statistics.last_run_seconds) == (0, 0, 0)
    before = time.time()
    for rows, seconds in ((1, 0.5), (8, 2.0), (8, 1.0)):
        statistics.ran(rows, seconds)
    for ok, seconds in ((True, 4.0), (False, 8.0), (True, 1.0)):
        statistics.answered(ok, seconds, seconds / 2)
    assert (statistics.rows, statistics.runs) == (17, 3)
    assert {rows: (runs.count, runs.seconds) for rows, runs in statistics.batches.items()} == {1: (1, 0.5), 8: (2, 3.0)}
    assert (statistics.success.count, statistics.success.seconds) == (2, 5.0)
    assert (statistics.fail.count, statistics.fail.seconds) == (1, 8.0)
    # Of a request that failed nobody knows the time of its runs.
    assert (statistics.compute.count, statistics.compute.seconds) == (2, 2.5)
    assert before <= statistics.last_run_seconds <= time.time()
