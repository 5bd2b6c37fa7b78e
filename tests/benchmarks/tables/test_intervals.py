"""Widths at equal coverage, against bounds whose right factor is known."""

import numpy as np
import pytest

from benchmarks.tables.intervals import Bounds, Found, judge, page

TRUTH = np.linspace(-1, 1, 1001)


def test_bounds_that_are_too_narrow_are_widened_to_the_coverage() -> None:
    """0 ± 0.45 holds 45 % of even truths from -1 to 1; 90 % need 0 ± 0.9, twice as far apart."""
    half = np.full(1001, 0.45)
    for by_constant in (False, True):
        found = judge(-half, half, TRUTH, by_constant=by_constant)
        assert found.coverage == pytest.approx(0.45, abs=2e-3)
        assert found.width == pytest.approx(0.9)
        assert found.equal_width == pytest.approx(1.8, abs=5e-3)


def test_the_narrower_of_two_ways_counts_for_the_peer() -> None:
    """Bounds off by the same distance everywhere are mended by a constant; in proportion they would be wider."""
    half = np.where(np.arange(1001) % 2 == 0, 0.1, 10.0)
    lower, upper = TRUTH - half - 0.05, TRUTH - 0.05
    lower[::2], upper[::2] = TRUTH[::2] + 0.5, TRUTH[::2] + 0.6
    assert (
        judge(lower, upper, TRUTH, by_constant=True).equal_width
        <= judge(lower, upper, TRUTH, by_constant=False).equal_width
    )


def test_the_page_has_means_over_splits_and_tables() -> None:
    """Shares as plain means, ratios of widths as geometric ones."""
    costs = {"1": 1.2, "1024": 1.1}
    found = {
        "a": [Found(Bounds(0.9, 2, 2), Bounds(0.8, 1, 1), costs)],
        "b": [Found(Bounds(1.0, 1, 1), Bounds(0.6, 2, 2), costs)],
    }
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page(found).splitlines()]
    assert lines[2] == ["a", "1", "90.0 %", "80.0 %", "2.00", "2.00", "1.20", "1.10"]
    assert lines[-1][2:] == ["95.0 %", "70.0 %", "1.00", "1.00", "1.20", "1.10"]
