"""The conformal quantile keeps its promise exactly where scores are exchangeable."""

import numpy as np
import pytest

from training.calibration.ranks import conformal_quantile, fewest_rows


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("rows", [19, 20, 57, 109])
def test_of_equally_likely_orders_the_share_is_right(coverage: float, rows: int) -> None:
    """Each of n + 1 distinct scores is as likely as any other to be the new one: count those within their quantile."""
    scores = np.random.default_rng(rows).permutation(rows + 1).astype(float)
    inside = [
        scores[place] <= conformal_quantile(np.delete(scores, place)[:, None], coverage)[0] for place in range(rows + 1)
    ]
    assert np.mean(inside) >= coverage
    assert np.mean(inside) < coverage + 1 / (rows + 1) + 1e-12


def test_the_rank_is_a_whole_number_where_the_product_is() -> None:
    """0.9 · 110 is 99.00000000000001 in floats; the rank is 99."""
    assert conformal_quantile(np.arange(1.0, 110.0)[:, None], 0.9).tolist() == [99.0]


def test_outputs_are_ranked_on_their_own() -> None:
    """A column each."""
    scores = np.stack([np.arange(99.0), -np.arange(99.0)], axis=1)
    assert conformal_quantile(scores, 0.9).tolist() == [89.0, -9.0]


@pytest.mark.parametrize("coverage", [1e-13, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999])
def test_too_few_scores_have_no_quantile(coverage: float) -> None:
    """With the fewest rows it is the largest score, with one row less it is infinite. One row is needed always."""
    fewest = fewest_rows(coverage)
    scores = np.arange(float(fewest))[:, None]
    assert conformal_quantile(scores, coverage)[0] == fewest - 1
    assert np.isinf(conformal_quantile(scores[1:], coverage)[0])


def test_the_smallest_share_has_the_smallest_score() -> None:
    """Its rank would round to 0, which no score has."""
    assert conformal_quantile(np.arange(600.0)[:, None], 1e-13).tolist() == [0.0]
