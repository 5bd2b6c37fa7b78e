"""What `make demo` says, without running it: it takes about a minute."""

from deploy import demo


def test_the_counted_requests_are_told_apart() -> None:
    """A newcomer sees what each of them was: single rows, and the few of the whole file."""
    text = demo.told("127.0.0.1:8002", 305, 0.0004, 0.0021)
    assert "305 requests" in text
    assert "300 of one row each" in text
    assert "5 that sent the whole file" in text
    assert "p50 0.40 ms, p99 2.10 ms" in text


def test_a_quantile_lies_in_its_bucket() -> None:
    """As Prometheus' histogram_quantile: linear between the edges. Nine of ten observations are at most 1."""
    buckets = [(1.0, 9.0), (2.0, 10.0), (float("inf"), 10.0)]
    assert demo.quantile(0.45, buckets) == 0.5
    assert demo.quantile(0.95, buckets) == 1.5
