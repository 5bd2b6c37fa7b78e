"""The rows of an additive model against the layer's own basis and dense sums."""

import numpy as np
import pytest
import torch

from kan_model.network.layer import KANLayer
from training.additive.pairs.folds import measure_pair
from training.additive.pairs.sides import sides_of
from training.additive.rows import TermRows
from training.additive.terms import Terms, terms_of


def _rows(degree: int = 3) -> tuple[torch.Tensor, Terms]:
    """Rows of a plain column, a skewed one, a constant, and two columns of two values."""
    generator = np.random.default_rng(0)
    skewed = np.exp(4 * generator.uniform(size=300))
    columns = [
        generator.uniform(-1, 1, size=300),
        2 * skewed / skewed.max() - 1,
        np.full(300, 0.5),
        np.where(generator.uniform(size=300) < 0.3, 1.0, -1.0),
        np.where(generator.uniform(size=300) < 0.5, 1.0, -1.0),
    ]
    x = torch.from_numpy(np.stack(columns, axis=1).astype(np.float32))
    domain = torch.tensor([[-1.0, 1.0]]).expand(5, 2).clone()
    layer = KANLayer(torch.zeros(1, 5), torch.zeros(1, 5, 9 + degree), degree=degree, outside="clamp", domain=domain)
    return x.double(), terms_of(layer, x.double(), [0, 1, 2, 3, 3])


@pytest.mark.parametrize("degree", [2, 3, 5])
def test_the_local_functions_are_those_of_the_layer(degree: int) -> None:
    """The sum of any coefficients times the few functions that are not 0 is the layer's own, also at the ends."""
    x, terms = _rows(degree)
    rows = TermRows.of(terms, x)
    basis = terms.layer.basis(x)[:, list(terms.curves)]
    coefficients = torch.from_numpy(np.random.default_rng(1).normal(size=(len(terms.raw.T), 2)))
    numbers = terms.raw @ coefficients
    curved = 1 + terms.functions * len(terms.curves)
    wanted = numbers[0] + torch.einsum(
        "ncf,cfo->no", basis, numbers[1:curved].reshape(len(terms.curves), terms.functions, 2)
    )
    wanted = wanted + (x[:, list(terms.lines)] - terms.means) @ numbers[curved:]
    torch.testing.assert_close(rows.answers(coefficients), wanted, rtol=1e-9, atol=1e-9)


def test_sums_are_those_of_the_dense_matrix() -> None:
    """XᵀWX, XᵀWz and zᵀWz, where X has a column for each coefficient; the sums of some rows go off those of all."""
    x, terms = _rows()
    rows = TermRows.of(terms, x)
    dense = torch.cat([rows.answers(column[:, None]) for column in torch.eye(terms.raw.shape[1]).double()], dim=1)
    generator = np.random.default_rng(2)
    weights, targets = torch.from_numpy(generator.uniform(size=300)), torch.from_numpy(generator.normal(size=(300, 2)))
    for output, sums in enumerate(rows.sums(targets, weights)):
        z = targets[:, output]
        torch.testing.assert_close(sums.gram, dense.T @ (weights[:, None] * dense))
        torch.testing.assert_close(sums.moment, dense.T @ (weights * z))
        assert sums.square == pytest.approx(float(weights @ z**2))
        torch.testing.assert_close(rows.slopes(z), dense.T @ z)


def test_pairs_are_products_in_answers_sums_and_slopes() -> None:
    """Each product is a column of the dense matrix: a function of the one column times one of the other."""
    x, terms = _rows()
    rows = TermRows.of(terms, x)
    sides = sides_of(rows, ["a", "b", None, "town", "town"])
    pairs = [measure_pair(rows, sides[one], sides[two]) for one, two in ((0, 1), (0, 2))]
    both = rows.with_pairs(terms.with_pairs(pairs))
    alone = torch.eye(rows.coefficients).double()
    dense = [rows.answers(alone)]
    for pair in pairs:
        one, two = rows.functions(pair.first), rows.functions(pair.second)
        dense += [
            one[:, first, None] * two[:, second, None] * factor
            for first, second, factor in zip(*pair.products, strict=True)
        ]
    design = torch.cat(dense, dim=1)
    generator = np.random.default_rng(4)
    weights, z = torch.from_numpy(generator.uniform(size=300)), torch.from_numpy(generator.normal(size=300))
    numbers = torch.from_numpy(generator.normal(size=(design.shape[1], 2)))
    torch.testing.assert_close(both.answers(numbers), design @ numbers)
    torch.testing.assert_close(both.slopes(z), design.T @ z)
    torch.testing.assert_close(both.sums(z[:, None], weights)[0].gram, design.T @ (weights[:, None] * design))


def test_every_term_has_mean_0_over_the_rows() -> None:
    """So the constant is the mean answer, and each curve tells how far its column moves the answer from it."""
    x, terms = _rows()
    rows = TermRows.of(terms, x)
    for column in torch.eye(terms.raw.shape[1]).double()[1:]:
        values = rows.answers(column[:, None])
        assert abs(float(values.mean())) < 1e-9 * float(values.abs().max())


def test_inputs_get_curves_lines_or_nothing_by_their_values() -> None:
    """Two values make a line, one value nothing; columns of one group share a penalty."""
    _, terms = _rows()
    assert terms.curves == (0, 1)
    assert terms.lines == (3, 4)
    assert terms.widths == (1, 1, 2, terms.functions - 2, terms.functions - 2)
