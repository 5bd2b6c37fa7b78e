"""The benchmark of additive fits."""

import numpy as np
import pytest

from benchmarks.training.additive import make_table, measure


@pytest.mark.parametrize("kind", ["regression", "two classes"])
def test_a_small_fit_is_measured(kind: str) -> None:
    """The fit of a small table, with a pair, takes processor time."""
    assert measure(kind, pairs=1, rows=300) > 0


def test_the_truth_has_products_of_columns() -> None:
    """Without noise to speak of, the target follows x0·x10 where pairs are asked for, and does not elsewhere."""
    for pairs, wanted in ((0, False), (10, True)):
        x, y = make_table("regression", pairs, 5_000)
        assert (abs(np.corrcoef(x["x0"] * x["x10"], y)[0, 1]) > 0.15) == wanted
