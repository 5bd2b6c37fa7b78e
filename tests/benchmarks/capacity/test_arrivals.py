"""Arrivals by chance against their distributions, and traces that can and cannot be replayed."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.capacity.arrivals import Bursts, TraceError, poisson, read_trace


def test_poisson_gaps_are_exponential() -> None:
    """Gaps of a Poisson process are exponential with mean 1 / rate (Kolmogorov, Smirnov); none depends on the last."""
    gaps = np.diff(poisson(250.0, 50_000).seconds)
    assert stats.kstest(gaps, stats.expon(scale=1 / 250).cdf).pvalue > 0.01
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 0.02


def test_bursts_have_their_rate_and_the_rest_its_own() -> None:
    """Ten times the rate in the last second of every five: counts of both are what a Poisson process has."""
    arrivals = poisson(100, 70_000, bursts=Bursts(10, 5, 1))
    cycles = int(arrivals.seconds[-1] // 5)
    seconds = arrivals.seconds[arrivals.seconds < 5 * cycles]
    inside = int((seconds % 5 >= 4).sum())
    for found, wanted in ((inside, 1000 * cycles), (len(seconds) - inside, 400 * cycles)):
        assert abs(found - wanted) < 4 * wanted**0.5
    assert (np.diff(arrivals.seconds) >= 0).all()


def test_trace_is_read_from_its_first_request_on(tmp_path: Path) -> None:
    """Seconds count from the first request, rows are 1 where there is no such column."""
    path = tmp_path / "trace.csv"
    path.write_text("seconds,rows\n100.5,3\n100.75,1\n101.5,64\n")
    trace = read_trace(path)
    assert trace.seconds.tolist() == [0, 0.25, 1]
    assert trace.rows.tolist() == [3, 1, 64]
    assert trace.rate == 3
    path.write_text("seconds\n1\n2\n")
    assert read_trace(path).rows.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,2\n2,2\n", "first line"),
        ("", "first line"),
        ("seconds\n1\nsoon\n", "line 3"),
        ("seconds\n2\n1\n", "line 3"),
        ("seconds\n1\nnan\n", "line 3"),
        ("seconds,rows\n1,1\n2,0\n", "line 3"),
        ("seconds,rows\n1,1\n2\n", "line 3"),
        ("seconds\n1\n", "1 requests"),
        ("seconds\n1\n1\n", "over some time"),
    ],
)
def test_trace_that_cannot_be_replayed_says_where(tmp_path: Path, text: str, says: str) -> None:
    """A wrong file is refused with its line."""
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(TraceError, match=says):
        read_trace(path)
