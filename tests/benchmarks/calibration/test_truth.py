"""Tables whose truth is known, and what a fit of them is measured by."""

import numpy as np
import pytest

from benchmarks.calibration.page import truth_table
from benchmarks.calibration.truth import KINDS, Fit, draw


@pytest.mark.parametrize("kind", KINDS)
def test_classes_come_as_often_as_their_probabilities_say(kind: str) -> None:
    """In the rows where the first one is more probable than not, and in the others; within four standard errors."""
    x, chances, classes = draw(kind, 20_000, np.random.default_rng(0))
    assert x.shape == (20_000, 6)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    for part in (chances[:, 0] > 0.5, chances[:, 0] <= 0.5):
        error = np.sqrt((chances[part, 0] * (1 - chances[part, 0])).sum()) / part.sum()
        assert abs((classes[part] == 0).mean() - chances[part, 0].mean()) < 4 * error


def test_the_table_has_the_mean_and_the_largest_change() -> None:
    """A line for each number of rows."""
    fits = [Fit(200, (0.5, 0.4, 0.6), (0.1, 0.02, 0.03)), Fit(200, (0.5, 0.52, 0.6), (0.3, 0.04, 0.05))]
    assert truth_table([fits]).splitlines()[2:] == ["| 200 | -0.0400 | +0.0200 | 0.200 | 0.030 | 0.040 |"]
