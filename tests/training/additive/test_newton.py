"""Newton's method for classes, counts and amounts against a general minimizer of the penalised likelihood."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import gammaln, logsumexp

from kan_model.network.layer import KANLayer
from training.additive.families import AMOUNTS, CLASSES, COUNTS, SQUARES, TWO_CLASSES, Family
from training.additive.newton import Curves, fit_again, fit_family, fit_squares
from training.additive.rows import TermRows
from training.additive.sums import scale_weights
from training.additive.terms import terms_of

ROWS = 200


def _rows(rows: int = ROWS) -> tuple[np.ndarray, TermRows]:
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, size=(rows, 2)).astype(np.float32))
    domain = torch.tensor([[-1.0, 1.0]]).expand(2, 2).clone()
    layer = KANLayer(torch.zeros(1, 2), torch.zeros(1, 2, 7), degree=3, outside="clamp", domain=domain)
    terms = terms_of(layer, x.double(), [0, 1])
    return x.numpy().astype(np.float64), TermRows.of(terms, x.double())


def _losses_of_two(scores: np.ndarray, y: np.ndarray) -> float:
    return float((np.logaddexp(0, scores) - y * scores).sum())


def _losses_of_classes(scores: np.ndarray, y: np.ndarray) -> float:
    return float((logsumexp(scores, axis=1) - (scores * y).sum(axis=1)).sum())


def _losses_of_counts(scores: np.ndarray, y: np.ndarray) -> float:
    return float((np.exp(scores) - y * scores + gammaln(y + 1)).sum())


def _losses_of_amounts(scores: np.ndarray, y: np.ndarray) -> float:
    return float((scores + y * np.exp(-scores)).sum())


def _targets(name: str, x: np.ndarray) -> np.ndarray:
    generator = np.random.default_rng(1)
    log = np.sin(3 * x[:, 0]) + 0.5 * x[:, 1]
    match name:
        case "two":
            found = (generator.uniform(size=len(x)) < 1 / (1 + np.exp(-2 * log))).astype(float)
        case "three":
            found = np.eye(3)[np.argmax(np.outer(log, [1, -1, 0]) + generator.gumbel(size=(len(x), 3)), axis=1)]
        case "counts":
            found = generator.poisson(np.exp(log)).astype(float)
        case _:
            found = generator.gamma(2.0, np.exp(log) / 2)
    columns: np.ndarray = found.reshape(len(x), -1)
    return columns


@pytest.mark.parametrize(
    ("name", "family", "losses"),
    [
        ("two", TWO_CLASSES, _losses_of_two),
        ("three", CLASSES, _losses_of_classes),
        ("counts", COUNTS, _losses_of_counts),
        ("amounts", AMOUNTS, _losses_of_amounts),
    ],
)
def test_the_fit_with_given_penalties_minimizes_loss_and_penalties(
    name: str, family: Family, losses: Callable[[np.ndarray, np.ndarray], float]
) -> None:
    """BFGS on the log likelihood plus ½Σλβ², from the result and from 0, finds no lower value."""
    x, rows = _rows()
    y = _targets(name, x)
    places = tuple(np.array([-2.0, -2.0, -3.0, -3.0]) for _ in y.T)
    start = Curves(torch.zeros(rows.terms.raw.shape[1], y.shape[1]).double(), places, ())
    found = fit_again(rows, family, torch.from_numpy(y), None, start, tolerance=1e-7).numpy()
    size = found.shape[0]
    dense = torch.cat([rows.answers(column[:, None]) for column in torch.eye(size).double()], dim=1).numpy()
    penalty = np.concatenate([[0.0], np.repeat(np.exp(places[0]), rows.terms.widths)])[:, None]

    def cost(flat: np.ndarray) -> float:
        coefficients = flat.reshape(size, -1)
        return losses(dense @ coefficients, y) + float((penalty * coefficients**2).sum()) / 2

    best = min(minimize(cost, each.ravel(), method="BFGS").fun for each in (found, np.zeros_like(found)))
    assert cost(found.ravel()) <= best + 1e-4 * abs(best)


def test_squares_need_one_step() -> None:
    """The general way gives the same curves as least squares at once."""
    x, rows = _rows()
    y = torch.from_numpy(np.sin(3 * x[:, :1]) + 0.1 * np.random.default_rng(2).normal(size=(ROWS, 1)))
    once = fit_squares(rows.sums(y), rows.terms.widths)
    again = fit_again(rows, SQUARES, y, None, once)
    torch.testing.assert_close(rows.answers(again), rows.answers(once.coefficients), rtol=1e-6, atol=1e-8)


def test_weights_count_rows_several_times() -> None:
    """A row of weight 2 is two rows; a row of weight 0 is none."""
    x, rows = _rows()
    y = torch.from_numpy(_targets("two", x))
    weights = torch.from_numpy(np.random.default_rng(3).integers(0, 3, size=ROWS)).double()
    start = Curves(torch.zeros(rows.terms.raw.shape[1], 1).double(), (np.array([-2.0, -2.0, -3.0, -3.0]),), ())
    repeated = torch.repeat_interleave(torch.arange(ROWS), weights.long())
    weighted = fit_again(rows, TWO_CLASSES, y, weights, start)
    copied = fit_again(rows.take(repeated), TWO_CLASSES, y[repeated], None, start)
    torch.testing.assert_close(weighted, copied, rtol=1e-6, atol=1e-8)


def test_classes_without_an_overlap_have_a_bounded_fit() -> None:
    """The likelihood has no maximum there; the scores stay finite, and nearly every row is right."""
    x, rows = _rows()
    y = torch.from_numpy((x[:, :1] > 0).astype(float))
    scores = rows.answers(fit_family(rows, TWO_CLASSES, y, None).coefficients)
    assert bool(torch.isfinite(scores).all())
    assert float(scores.abs().max()) < 50
    assert float(((scores > 0) == (y > 0)).double().mean()) > 0.97


def test_a_class_of_few_rows_and_many_classes_have_a_fit() -> None:
    """Eight classes of 200 rows, one of two rows: the probabilities are finite, and better than the frequencies."""
    x, rows = _rows()
    generator = np.random.default_rng(5)
    classes = np.clip(np.floor((x[:, 0] + 1) * 3.5 + 0.3 * generator.normal(size=ROWS)), 0, 6).astype(int)
    classes[:2] = 7
    y = torch.from_numpy(np.eye(8)[classes])
    scores = rows.answers(fit_family(rows, CLASSES, y, None).coefficients)
    losses = -torch.log_softmax(scores, dim=1)[range(ROWS), classes]
    shares = np.bincount(classes) / ROWS
    assert bool(torch.isfinite(losses).all())
    assert float(losses.mean()) < 0.6 * float(-(shares * np.log(shares)).sum())


def test_curves_that_matter_are_kept_and_others_go_flat() -> None:
    """Of two columns one makes the classes; the λs leave the other next to no degrees of freedom."""
    x, rows = _rows(1000)
    generator = np.random.default_rng(6)
    y = torch.from_numpy((generator.uniform(size=1000) < 1 / (1 + np.exp(-3 * np.sin(3 * x[:, 0])))).astype(float))
    fitted = fit_family(rows, TWO_CLASSES, y[:, None], None)
    numbers = (rows.terms.raw @ fitted.coefficients)[1:, 0].reshape(2, -1)
    values = torch.einsum("ncf,cf->nc", rows.terms.layer.basis(torch.from_numpy(x)), numbers)
    spread = values.std(dim=0)
    assert float(spread[1]) < 0.15 * float(spread[0])
    truth = 3 * np.sin(3 * x[:, 0])
    assert np.corrcoef(values[:, 0].numpy(), truth)[0, 1] > 0.99


def test_rows_of_weight_0_change_nothing() -> None:
    """The chosen λs leave the same degrees of freedom and the same curves as without these rows, of every family."""
    x, rows = _rows(300)
    some, weights = torch.arange(100), (torch.arange(300) < 100).double()
    y = torch.from_numpy(np.sin(3 * x[:, :1]) + 0.3 * np.random.default_rng(7).normal(size=(300, 1)))
    weighted = fit_squares(rows.sums(y, weights), rows.widths)
    alone = fit_squares(rows.take(some).sums(y[some]), rows.widths)
    assert weighted.chosen[0].degrees == pytest.approx(alone.chosen[0].degrees, rel=1e-6)
    torch.testing.assert_close(rows.answers(weighted.coefficients), rows.answers(alone.coefficients))
    for name, family in (("two", TWO_CLASSES), ("three", CLASSES), ("counts", COUNTS), ("amounts", AMOUNTS)):
        y = torch.from_numpy(_targets(name, x))
        weighted = fit_family(rows, family, y, weights)
        alone = fit_family(rows.take(some), family, y[some], None)
        degrees = [each.degrees for each in weighted.chosen]
        assert degrees == pytest.approx([each.degrees for each in alone.chosen], rel=1e-4)
        torch.testing.assert_close(
            rows.answers(weighted.coefficients), rows.answers(alone.coefficients), rtol=1e-3, atol=1e-3
        )


def test_the_size_of_the_weights_does_not_matter() -> None:
    """Rows that all weigh 7 are rows that all weigh 1."""
    x, rows = _rows()
    y, sevens = torch.from_numpy(_targets("two", x)), torch.full((ROWS,), 7.0, dtype=torch.float64)
    plain, weighted = (fit_family(rows, TWO_CLASSES, y, each) for each in (None, scale_weights(sevens)))
    torch.testing.assert_close(weighted.coefficients, plain.coefficients)


def test_balanced_weights_leave_columns_of_noise_flat() -> None:
    """3 % of the rows, with 16 times the weight of others, know no more of two columns that say nothing."""
    _, rows = _rows(4000)
    y = torch.from_numpy((np.random.default_rng(8).uniform(size=(4000, 1)) < 0.03).astype(float))
    balanced = torch.where(y[:, 0] == 1, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    fitted = fit_family(rows, TWO_CLASSES, y, scale_weights(balanced))
    assert fitted.chosen[0].degrees < 4
    assert float(rows.answers(fitted.coefficients).std()) < 0.3


def test_unequal_weights_without_a_meaning_leave_a_curve_smooth() -> None:
    """Lognormal weights, 600 rows: the answers are nearer to the truth than half the noise, as of so few rows."""
    x, rows = _rows(600)
    generator = np.random.default_rng(9)
    truth = np.sin(3 * x[:, :1])
    y = torch.from_numpy(truth + 0.3 * generator.normal(size=(600, 1)))
    weights = scale_weights(torch.from_numpy(generator.lognormal(sigma=1.5, size=600)))
    fitted = fit_squares(rows.sums(y, weights), rows.widths)
    assert float((rows.answers(fitted.coefficients) - torch.from_numpy(truth)).square().mean().sqrt()) < 0.15


@pytest.mark.parametrize("name", ["two", "three", "counts", "amounts"])
def test_a_settled_fit_is_where_more_steps_lead(name: str) -> None:
    """With the chosen λs, Newton steps to a far finer tolerance move no score by more than 0.002."""
    x, rows = _rows(60)
    y = torch.from_numpy(_targets(name, x))
    family = {"two": TWO_CLASSES, "three": CLASSES, "counts": COUNTS, "amounts": AMOUNTS}[name]
    fitted = fit_family(rows, family, y, None)
    assert fitted.is_settled
    further = fit_again(rows, family, y, None, fitted, tolerance=1e-10)
    assert float(rows.answers(further - fitted.coefficients).abs().max()) < 2e-3
