"""Steps with a matrix that is not Newton's lead to the same minimum."""

import numpy as np
import pytest
import torch

from kan_model.network.layer import KANLayer
from training.additive.criterion import Criterion
from training.additive.descent import Descent
from training.additive.families import TWO_CLASSES
from training.additive.rows import TermRows
from training.additive.terms import terms_of

PLACE = np.array([-2.0, -2.0, -3.0, -3.0])


def _begun(rows: int = 300) -> tuple[TermRows, Descent]:
    """Two classes by the first of two columns, with coefficients of 0."""
    generator = np.random.default_rng(0)
    x = torch.from_numpy(generator.uniform(-1, 1, size=(rows, 2)).astype(np.float32)).double()
    domain = torch.tensor([[-1.0, 1.0]]).expand(2, 2).clone()
    layer = KANLayer(torch.zeros(1, 2), torch.zeros(1, 2, 7), degree=3, outside="clamp", domain=domain)
    seen = TermRows.of(terms_of(layer, x, [0, 1]), x)
    y = torch.from_numpy(generator.uniform(size=(rows, 1)) < 0.9) & (x[:, :1] > 0)
    return seen, Descent(seen, TWO_CLASSES, y.double(), None, torch.zeros(seen.coefficients, 1).double())


def test_the_sums_with_the_own_matrix_are_the_own_sums() -> None:
    """Also away from 0, where the working targets are not the targets."""
    rows, way = _begun()
    for _ in range(2):
        wanted = way.sums(0)
        found = way.sums_with(wanted.gram, 0)
        torch.testing.assert_close(found.moment, wanted.moment)
        assert found.square == pytest.approx(wanted.square)
        assert found.rows == wanted.rows
        fitted = Criterion(wanted, rows.widths, "ubre").fit(PLACE)
        assert fitted is not None
        way.move(0, fitted, PLACE)


@pytest.mark.parametrize("share", [0.6, 1.0, 2.0, 50.0])
def test_any_matrix_leads_to_the_minimum(share: float) -> None:
    """A matrix that is too small overshoots, one that is far too large is made anew; the slope at the end is 0."""
    rows, way = _begun()
    made = list[int]()

    def factor_of(output: int) -> torch.Tensor | None:
        made.append(output)
        return Criterion(way.sums(0), rows.widths).factor(PLACE)

    first = Criterion(way.sums(0), rows.widths).factor(PLACE)
    assert first is not None
    assert way.settle([PLACE], factor_of, 1e-13, 100, [first * share**0.5])
    sums = way.sums(0)
    strengths = torch.from_numpy(np.concatenate([[0.0], np.repeat(np.exp(PLACE), rows.widths)]))
    slope = sums.moment - sums.gram @ way.coefficients[:, 0] - strengths * way.coefficients[:, 0]
    assert float(slope.abs().max()) < 1e-4
    assert len(made) < 12
    assert len(made) > 0 or share < 50
