"""The share of the weaker of two workers."""

import pytest

from benchmarks.workers.shares import weaker_share


@pytest.mark.parametrize(
    ("before", "after", "share"), [([0, 0], [60, 40], 0.4), ([100, 7], [100, 107], 0.0), ([5, 9], [8, 12], 0.5)]
)
def test_only_what_was_answered_meanwhile_counts(before: list[float], after: list[float], share: float) -> None:
    """Whatever each worker had answered before, and whichever of them is the weaker."""
    assert weaker_share(before, after) == weaker_share(before[::-1], after[::-1]) == share
