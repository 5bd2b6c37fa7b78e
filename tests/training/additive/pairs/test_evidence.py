"""Which pairs there are: those of a truth, and of noise about one, whatever the weights, the words and the outputs."""

import numpy as np
import pytest
import torch

from kan_model.network.layer import KANLayer
from training.additive.families import COUNTS, SQUARES, Family
from training.additive.pairs.evidence import Evidence, weigh_pairs
from training.additive.pairs.sides import sides_of
from training.additive.rows import TermRows
from training.additive.solution import Problem, solve
from training.additive.sums import scale_weights
from training.additive.terms import Side, terms_of


def _weigh(
    x: np.ndarray,
    y: np.ndarray,
    names: list[str],
    *,
    family: Family = SQUARES,
    weights: np.ndarray | None = None,
    columns: dict[str, str] | None = None,
) -> Evidence:
    """The evidence beside curves on six intervals; targets ``[rows]`` or ``[rows, outputs]``; words share a name."""
    inputs, count = torch.from_numpy(x.astype(np.float32)), x.shape[1]
    layer = KANLayer(
        torch.zeros(1, count),
        torch.zeros(1, count, 9),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]]).expand(count, 2).clone(),
    )
    groups = [names.index(name) if names.count(name) > 1 else count for name in names]
    rows = TermRows.of(terms_of(layer, inputs.double(), groups), inputs.double())
    counted = None if weights is None else scale_weights(torch.from_numpy(weights))
    targets = torch.from_numpy(y.reshape(len(y), -1)).double()
    problem = Problem(family, targets, counted, torch.arange(len(x)) % 5)
    return weigh_pairs(solve(rows, problem), problem, sides_of(rows, names, columns or {}))


def _names(evidence: Evidence, count: int = 100, fold: int | None = None) -> list[tuple[str, str]]:
    return [(one.name, two.name) for one, two in evidence.strongest(count, fold)]


def test_a_pair_that_does_not_fit_leaves_room_for_narrower_ones() -> None:
    """Pairs of 256, 49, 112 and 49 products, the strongest one first; of all rows and, in another order, of a fold."""
    words, number = tuple(range(16)), tuple(range(7))
    widths = [(words, words), (number, number), (words, number), (number, number)]
    pairs = tuple(
        (Side(f"a{place}", f"a{place}", (), one, (), ()), Side(f"b{place}", f"b{place}", (), two, (), ()))
        for place, (one, two) in enumerate(widths)
    )
    without = torch.tensor([[1.0, 2.0, 3.0, -1.0]])
    evidence = Evidence(pairs, torch.tensor([4.0, 3.0, 2.0, 1.0]), without)

    def fitting(room: int, count: int = 4, fold: int | None = None) -> list[int]:
        return [pairs.index(pair) for pair in evidence.fitting(count, room, fold)]

    assert [fitting(room) for room in (48, 49, 97, 98, 200, 210)] == [[], [1], [1], [1, 3], [1, 2], [1, 2, 3]]
    assert [fitting(room) for room in (255, 256, 305, 466)] == [[1, 2, 3], [0], [0, 1], [0, 1, 2, 3]]
    # A pair left out is one of the strongest all the same.
    assert fitting(200, 2) == [1]
    assert fitting(160, fold=0) == [2]
    assert fitting(161, fold=0) == [2, 1]


def test_pairs_without_a_fold_do_not_know_its_rows() -> None:
    """A product that only the rows of one fold have is a pair of the whole fit, and none without this fold."""
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, size=(1000, 3))
    y = 0.5 * generator.normal(size=1000)
    y[::5] += 4 * x[::5, 0] * x[::5, 2]
    evidence = _weigh(x, y, ["a", "b", "c"])
    assert ("a", "c") in _names(evidence)
    assert ("a", "c") not in _names(evidence, fold=0)
    assert all(("a", "c") in _names(evidence, fold=fold) for fold in range(1, 5))


def test_two_numbers_of_one_column_are_no_pair() -> None:
    """Of a date the month and the weekday, of which the target is the product."""
    x = np.random.default_rng(0).uniform(-1, 1, size=(600, 3))
    evidence = _weigh(x, x[:, 0] * x[:, 1], ["a", "b", "c"], columns={"a": "date", "b": "date"})
    assert [{one.name, two.name} for one, two in evidence.pairs] == [{"a", "c"}, {"b", "c"}]


def test_the_weaker_pair_of_words_does_not_win_by_the_number_of_its_products() -> None:
    """30 words of which 16 are multiplied, beside a product of two numbers."""
    generator = np.random.default_rng(4)
    town = np.minimum(generator.geometric(0.1, 600) - 1, 29)
    x = np.column_stack([generator.uniform(-1, 1, size=(600, 2)), np.eye(30)[town] * 2 - 1])
    y = x[:, 0] * x[:, 1] + 0.5 * generator.normal(size=600)
    assert _names(_weigh(x, y, ["a", "b", *["town"] * 30]), 1) == [("a", "b")]


@pytest.mark.parametrize("family", [SQUARES, COUNTS])
def test_unequal_weights_make_no_pairs_of_noise(family: Family) -> None:
    """Of 66 pairs of noise about one passes; with the noise of all 600 rows for the 60 in effect most would."""
    generator = np.random.default_rng(1)
    x = generator.uniform(-1, 1, size=(600, 12))
    y = generator.normal(size=600) if family is SQUARES else generator.poisson(3.0, 600).astype(float)
    weights = np.exp(1.5 * generator.normal(size=600))
    assert len(_names(_weigh(x, y, [f"x{place}" for place in range(12)], family=family, weights=weights))) <= 5


def test_two_words_are_as_a_column_of_two_values() -> None:
    """Two lines have one degree of freedom, so how a column is written does not decide whether there is a pair."""
    generator = np.random.default_rng(2)
    sex = generator.choice([-1.0, 1.0], 500)
    x = np.column_stack([generator.uniform(-1, 1, size=(500, 2)), sex, -sex])
    y = 0.3 * sex * x[:, 0] + generator.normal(size=500)
    words, number = _weigh(x, y, ["a", "b", "sex", "sex"]), _weigh(x[:, :3], y, ["a", "b", "sex"])
    np.testing.assert_allclose(words.whole.numpy(), number.whole.numpy(), atol=1.0)
    assert words.pairs[1][1].name == number.pairs[1][1].name == "sex"


def test_a_target_twice_is_as_a_target() -> None:
    """Outputs that say the same say it once: gains and price are both twice as large."""
    generator = np.random.default_rng(3)
    x = generator.uniform(-1, 1, size=(400, 5))
    y = x[:, 0] * x[:, 1] + generator.normal(size=400)
    names = [f"x{place}" for place in range(5)]
    once, twice = _weigh(x, y, names), _weigh(x, np.stack([y, y], axis=1), names)
    np.testing.assert_allclose(twice.whole.numpy(), 2 * once.whole.numpy(), rtol=1e-9, atol=1e-9)
    assert _names(once)[0] == ("x0", "x1")
