from service.metrics.statistics import Duration, Statistics


def test_rows_and_runs_follow_from_the_batches() -> None:
    """Runs by size give their number and that of the rows; a duration adds one or several at once."""
    nothing = Duration()
    batches = {1: Duration(1, 0.5), 8: Duration()}
    batches[8].add(2.0)
    batches[8].add(1.0, 2)
    assert batches[8] == Duration(3, 3.0)
    statistics = Statistics(nothing, nothing, nothing, nothing, batches, 0)
    assert (statistics.rows, statistics.runs) == (25, 4)
