"""Pairs beside the curves: which ones, how well they fit, and the network that they become."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor

from kan_model.analysis.curve_sum import read_curve_sum
from kan_model.network.checkpoint import from_bytes, to_bytes
from kan_model.network.layer import KANLayer
from training.additive.families import SQUARES, TWO_CLASSES, Family
from training.additive.network import network_of
from training.additive.pairs import folds
from training.additive.pairs.fit import PairFit
from training.additive.pairs.sides import sides_of
from training.additive.rows import TermRows
from training.additive.solution import Problem, Solution, answers_out_of_fold, solve
from training.additive.terms import terms_of

NAMES: tuple[str | None, ...] = ("a", "b", "c", "town", "town", "town", "two")


def _columns(rows: int, seed: int = 0) -> np.ndarray:
    """Three numbers, a column of three words, and one of two values."""
    generator = np.random.default_rng(seed)
    town = generator.integers(0, 3, rows)
    words = np.stack([town == 0, town == 1, town == 2], axis=1) * 2.0 - 1.0
    numbers = generator.uniform(-1, 1, size=(rows, 3))
    return np.column_stack([numbers, words, np.where(generator.uniform(size=rows) < 0.4, 1.0, -1.0)])


def _solve(x: np.ndarray, y: np.ndarray, family: Family = SQUARES, intervals: int = 12) -> tuple[Solution, Problem]:
    inputs = torch.from_numpy(x.astype(np.float32))
    count = x.shape[1]
    layer = KANLayer(
        torch.zeros(1, count),
        torch.zeros(1, count, intervals + 3),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]]).expand(count, 2).clone(),
    )
    rows = TermRows.of(terms_of(layer, inputs.double(), [9, 9, 9, 3, 3, 3, *[9] * count][:count]), inputs.double())
    folds = torch.arange(len(x)) % 5
    problem = Problem(family, torch.from_numpy(y.reshape(len(y), -1)).double(), None, folds)
    return solve(rows, problem), problem


def _names(solution: Solution) -> list[tuple[str, str]]:
    return [(pair.first.name, pair.second.name) for pair in solution.rows.terms.pairs]


def test_a_product_and_words_with_a_curve_each_are_found_and_fitted() -> None:
    """sin(3a·b), and a slope of c in each town: errors of a fifth of the noise, which curves alone do not reach."""
    x = _columns(2500)
    truth = np.sin(3 * x[:, 0] * x[:, 1]) + np.where(x[:, 3] > 0, x[:, 2], -x[:, 2]) + x[:, 1] ** 2
    y = truth + 0.3 * np.random.default_rng(1).normal(size=len(x))
    plain, problem = _solve(x[:2000], y[:2000])
    fit = PairFit(plain, problem, sides_of(plain.rows, NAMES), 2, 6000)
    found = fit.whole
    assert {frozenset(each) for each in _names(found)} == {frozenset("ab"), frozenset(("c", "town"))}
    rows = TermRows.of(plain.rows.terms, torch.from_numpy(x[2000:].astype(np.float32)).double())
    alone = rows.answers(plain.curves.coefficients)[:, 0].numpy()
    both = rows.with_pairs(found.rows.terms).answers(found.curves.coefficients)[:, 0].numpy()
    errors = [float(np.sqrt(np.mean((each - truth[2000:]) ** 2))) for each in (alone, both)]
    boosted = HistGradientBoostingRegressor(random_state=0).fit(x[:2000], y[:2000]).predict(x[2000:])
    assert errors[0] > 0.4
    assert errors[1] < 0.08
    assert errors[1] < float(np.sqrt(np.mean((boosted - truth[2000:]) ** 2)))
    judged = float((fit.answers_out_of_fold()[:, 0] - torch.from_numpy(y[:2000])).square().mean().sqrt())
    assert 0.28 < judged < 0.33


@pytest.mark.parametrize("seed", [100, 102])
def test_among_many_columns_of_noise_answers_out_of_fold_are_as_good_as_those_of_new_rows(seed: int) -> None:
    """200 rows of 30 columns make 435 pairs of noise. Pairs chosen with all rows were 24 % better out of fold."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, size=(5200, 30))
    y = x[:, 0] + generator.normal(size=5200)
    plain, problem = _solve(x[:200], y[:200], intervals=4)
    fit = PairFit(plain, problem, sides_of(plain.rows, [f"x{place}" for place in range(30)]), 10, 6000)
    assert len(_names(fit.whole)) <= 3
    rows = TermRows.of(plain.rows.terms, torch.from_numpy(x[200:].astype(np.float32)).double())
    new = rows.with_pairs(fit.whole.rows.terms).answers(fit.whole.curves.coefficients)[:, 0].numpy() - y[200:]
    judged = fit.answers_out_of_fold()[:, 0].numpy() - y[:200]
    # The mean of 200 squares has a standard deviation of a tenth.
    assert np.mean(judged**2) > 0.75 * np.mean(new**2)


def test_the_fit_is_penalised_least_squares_of_all_terms() -> None:
    """The normal equations hold for a dense design of curves, lines and products, and the λs of the curves stay."""
    x = _columns(300)
    y = x[:, 0] * x[:, 1] + 0.1 * np.random.default_rng(2).normal(size=300)
    plain, problem = _solve(x, y, intervals=5)
    found = PairFit(plain, problem, sides_of(plain.rows, NAMES), 3, 6000).whole
    kept = found.curves.log_strengths[0][: len(plain.rows.widths)]
    np.testing.assert_array_equal(kept, plain.curves.log_strengths[0])
    count = found.rows.coefficients
    design = found.rows.answers(torch.eye(count, dtype=torch.float64)).numpy()
    strengths = np.concatenate([[0.0], np.repeat(np.exp(found.curves.log_strengths[0]), found.rows.widths)])
    coefficients = found.curves.coefficients[:, 0].numpy()
    np.testing.assert_allclose(design.T @ (y - design @ coefficients), strengths * coefficients, atol=1e-6)
    sums = found.rows.sums(problem.targets)[0]
    np.testing.assert_allclose(sums.gram.numpy(), design.T @ design, rtol=1e-9, atol=1e-9)
    # The products of a penalty have a sum of squares of 1 on average.
    first = count - sum(found.rows.terms.pairs[-1].widths)
    for width in found.rows.terms.pairs[-1].widths:
        np.testing.assert_allclose(np.square(design[:, first : first + width]).sum() / width, 1.0)
        first += width


def test_a_pair_of_noise_is_shrunk_away() -> None:
    """Where the target is a sum of curves, three pairs beside them change the answers little."""
    x = _columns(1000)
    y = np.sin(3 * x[:, 0]) + x[:, 1] + 0.5 * np.random.default_rng(3).normal(size=1000)
    plain, problem = _solve(x, y)
    found = PairFit(plain, problem, sides_of(plain.rows, NAMES), 3, 6000).whole
    before = plain.rows.answers(plain.curves.coefficients)
    after = found.rows.answers(found.curves.coefficients)
    assert float((after - before).square().mean().sqrt()) < 0.12


def test_two_classes_by_an_exclusive_or() -> None:
    """No curve tells the classes apart; the product of two columns does."""
    x = _columns(800)
    y = (x[:, 0] * x[:, 2] > 0).astype(float)
    plain, problem = _solve(x, y, TWO_CLASSES, intervals=6)
    fit = PairFit(plain, problem, sides_of(plain.rows, NAMES), 1, 6000)
    found = fit.whole
    assert _names(found) == [("a", "c")]
    right = [
        float(((each.rows.answers(each.curves.coefficients)[:, 0] > 0) == torch.from_numpy(y > 0)).double().mean())
        for each in (plain, found)
    ]
    assert right[0] < 0.65
    assert right[1] > 0.95
    judged = fit.answers_out_of_fold()[:, 0] > 0
    assert float((judged == torch.from_numpy(y > 0)).double().mean()) > 0.93


@pytest.mark.parametrize("ways", [[[1.0]], [[-0.5], [0.5]], [[1.0, 0.0], [0.0, 1.0]]])
def test_the_network_answers_as_the_terms_do(ways: list[list[float]]) -> None:
    """All nodes kept: the same answers in float64, also of two classes and of two targets; saved and read too."""
    x = _columns(400)
    y = np.sin(3 * x[:, 0] * x[:, 1]) + np.where(x[:, 3] > 0, x[:, 2], 0) + x[:, 2] * x[:, 6]
    targets = np.stack([y, x[:, 0] * x[:, 2]], axis=1)[:, : len(ways[0])]
    plain, problem = _solve(x, targets)
    fit = PairFit(plain, problem, sides_of(plain.rows, NAMES), 3, 6000)
    found, turned = fit.whole, torch.tensor(ways, dtype=torch.float64)
    network = network_of(found.rows.terms, found.curves.coefficients, torch.float64, turned)
    inputs = torch.from_numpy(x.astype(np.float32)).double()
    wanted = found.rows.answers(found.curves.coefficients) @ turned.T
    alone = (answers_out_of_fold(plain, problem) - problem.targets).square().mean(dim=0)
    judged = (fit.answers_out_of_fold() - problem.targets).square().mean(dim=0)
    assert bool((judged < alone / 2).all())
    with torch.no_grad():
        torch.testing.assert_close(network(inputs), wanted, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(from_bytes(to_bytes(network))(inputs), wanted, rtol=1e-9, atol=1e-9)
        far = network(inputs * 1e6)
    assert bool(torch.isfinite(far).all())
    assert float(far.abs().max()) < 100
    assert read_curve_sum(network) is not None


def test_few_nodes_are_left_of_a_product() -> None:
    """a·b is one node; what is left out moves no answer by more than a thousandth or so."""
    x = _columns(1000)
    y = x[:, 0] * x[:, 1]
    plain, problem = _solve(x, y)
    found = PairFit(plain, problem, sides_of(plain.rows, NAMES), 1, 6000).whole
    network = network_of(found.rows.terms, found.curves.coefficients, torch.float64, least=[1e-3 * float(y.std())])
    assert network.width[1] <= 4
    with torch.no_grad():
        off = network(torch.from_numpy(x.astype(np.float32)).double())[:, 0].numpy() - y
    assert np.sqrt(np.mean(off**2)) < 0.03 * y.std()


def test_without_a_node_that_matters_there_is_one_layer() -> None:
    """A sum of curves is left."""
    x = _columns(200)
    plain, problem = _solve(x, x[:, 0] ** 2)
    found = PairFit(plain, problem, sides_of(plain.rows, NAMES), 1, 6000).whole
    assert len(network_of(found.rows.terms, found.curves.coefficients, torch.float32, least=[10.0]).layers) == 1


def test_sides_are_columns_that_vary() -> None:
    """A number has its tilt and bends, words are one side, a constant and an input without a name have none."""
    x = np.column_stack([_columns(200), np.full(200, 0.5)])
    x[:, 2] = 0.25
    inputs = torch.from_numpy(x.astype(np.float32))
    layer = KANLayer(
        torch.zeros(1, 8),
        torch.zeros(1, 8, 15),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]]).expand(8, 2).clone(),
    )
    rows = TermRows.of(terms_of(layer, inputs.double(), [9, 9, 9, 3, 3, 3, 9, 9]), inputs.double())
    found = {side.name: side for side in sides_of(rows, ["a", "b", "c", "town", "town", "town", None, "same"])}
    assert sorted(found) == ["a", "b", "town"]
    assert (len(found["a"].tilts), len(found["a"].bends)) == (1, 6)
    assert (len(found["town"].tilts), found["town"].bends) == (3, ())
    values = rows.functions(found["a"])
    np.testing.assert_allclose(values.mean(dim=0).numpy(), 0, atol=1e-9)
    np.testing.assert_allclose(values.square().mean(dim=0).sqrt().numpy(), found["a"].sizes, rtol=1e-9)


def test_of_many_words_the_most_frequent_are_multiplied() -> None:
    """16 of 30."""
    generator = np.random.default_rng(4)
    town = np.minimum(generator.geometric(0.1, 600) - 1, 29)
    x = np.column_stack([generator.uniform(-1, 1, size=(600, 2)), np.eye(30)[town] * 2 - 1])
    inputs = torch.from_numpy(x.astype(np.float32))
    layer = KANLayer(
        torch.zeros(1, 32),
        torch.zeros(1, 32, 9),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]]).expand(32, 2).clone(),
    )
    rows = TermRows.of(terms_of(layer, inputs.double(), [9, 9, *[3] * 30]), inputs.double())
    sides = sides_of(rows, ["a", "b", *["town"] * 30])
    (words,) = [side for side in sides if side.name == "town"]
    counts = np.bincount(town, minlength=30)
    kept = [place - 2 for place in words.inputs]
    assert len(kept) == 16
    assert counts[kept].min() >= np.sort(counts)[-16]


@pytest.mark.parametrize("family", [SQUARES, TWO_CLASSES])
def test_sums_that_the_folds_share_judge_as_sums_of_their_own(monkeypatch: pytest.MonkeyPatch, family: Family) -> None:
    """Of squares the answers are the same; of classes the weights that steer the λs differ, and the loss by 2 %."""
    x = _columns(600)
    y = np.sin(3 * x[:, 0]) + 2 * x[:, 0] * x[:, 2] + 0.5 * np.random.default_rng(3).normal(size=600)
    plain, problem = _solve(x, (y if family is SQUARES else y > 0).astype(float), family)
    found = []
    for numbers in (2**26, 0):
        monkeypatch.setattr(folds, "_MOST_NUMBERS", numbers)
        fit = PairFit(plain, problem, sides_of(plain.rows, NAMES), 2, 6000)
        assert (fit._folds.gram(0, 0) is None) == (numbers == 0)
        found.append(fit.answers_out_of_fold())
    if family is SQUARES:
        torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-6)
    losses = [float(family.losses(each, problem.targets).mean()) for each in found]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
