"""Networks without the edges and curves that the rows do not miss."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kan_model import KAN
from training.data.samples import Samples
from training.formulas.descent import error
from training.formulas.shapes import COARSE, Shape, count_edges, count_splines, fit_shape, simplify_shape
from training.formulas.work import Work


def simplified(shape: Shape, law: Callable[[np.ndarray], np.ndarray]) -> tuple[KAN, Samples]:
    """A network of a law without noise, and the rows that said what may go."""
    x = np.random.default_rng(0).uniform(-1, 1, (300, shape[0]))  # type: ignore[arg-type]
    y = law(x.T)
    rows = Samples(torch.from_numpy(x), torch.from_numpy(y / y.std())[:, None])
    train, validation, work = rows.take(torch.arange(200)), rows.take(torch.arange(200, 300)), Work(1e9, lambda: None)
    kan = fit_shape(shape, train, validation, 1, work)
    assert kan is not None
    return simplify_shape(kan, train, validation, work), validation


@pytest.mark.slow
def test_a_product_in_a_sum_keeps_only_its_edges() -> None:
    """a·b + b²: two factors, one summand and the two edges behind them are left of eight, three of them straight."""
    kan, validation = simplified((2, (1, 1), 1), lambda x: x[0] * x[1] + x[1] ** 2)
    assert (count_edges(kan), count_splines(kan)) == (5, 2)
    assert error(kan, validation) < COARSE


def test_a_curve_of_a_curve_stays_one() -> None:
    """1/(1 + 4a²) is a curve of a curve; one of them could bend for both, but no function of the library does."""
    kan, _ = simplified((1, 1, 1), lambda x: 1 / (1 + 4 * x[0] ** 2))
    assert count_splines(kan) == 2
